//! What log lines say: constant text. Values are fields, so that lines can be counted, searched and
//! translated into alerts.

use syn::buffer::{Cursor, TokenBuffer};

use super::source::Source;

/// The macros of tracing that write a line.
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    if source.path.starts_with("src/")
        && let Ok(tokens) = source.text.parse()
    {
        walk(TokenBuffer::new2(tokens).begin(), &mut findings);
    }
    findings
}

/// Looks at every `level!(...)`, in the arguments of other macros, too.
fn walk(mut at: Cursor<'_>, findings: &mut Vec<String>) {
    while !at.eof() {
        if let Some((name, bang)) = at.ident()
            && LEVELS.contains(&name.to_string().as_str())
            && let Some((mark, open)) = bang.punct()
            && mark.as_char() == '!'
            && let Some((inside, _, _, next)) = open.any_group()
        {
            findings.extend(objection(inside).map(|what| format!("`{name}!`: {what}")));
            walk(inside, findings);
            at = next;
        } else if let Some((inside, _, _, next)) = at.any_group() {
            walk(inside, findings);
            at = next;
        } else {
            at = at.token_tree().map_or_else(Cursor::empty, |(_, next)| next);
        }
    }
}

/// What is wrong with the arguments of one.
fn objection(arguments: Cursor<'_>) -> Option<String> {
    let mut message = None;
    for argument in split(arguments) {
        if let Some(text) = &message {
            return Some(format!("something follows the message {text}"));
        }
        message = literal(argument);
    }
    match message {
        None => Some("there is no message of constant text".to_owned()),
        Some(text) if text.contains(['{', '}']) => Some(format!("{text} has a value in it")),
        Some(_) => None,
    }
}

/// Where each argument begins.
fn split(arguments: Cursor<'_>) -> Vec<Cursor<'_>> {
    let mut starts = Vec::new();
    let (mut at, mut is_start) = (arguments, true);
    while !at.eof() {
        if is_start {
            starts.push(at);
        }
        is_start = at.punct().is_some_and(|(mark, _)| mark.as_char() == ',');
        at = at.token_tree().map_or_else(Cursor::empty, |(_, next)| next);
    }
    starts
}

/// An argument that is a text and nothing else.
fn literal(argument: Cursor<'_>) -> Option<String> {
    let (literal, next) = argument.literal()?;
    let is_all = next.eof() || next.punct().is_some_and(|(mark, _)| mark.as_char() == ',');
    let text = literal.to_string();
    (is_all && text.contains('"')).then_some(text)
}

#[test]
fn a_message_that_is_not_constant_is_found() {
    let rows = [
        (r#"info!("done");"#, 0),
        (r#"info!(volume.id = %id, ?error, "done");"#, 0),
        (r#"info!(why = "text", "done",);"#, 0),
        (r#"tracing::warn!(parent: &span, "done");"#, 0),
        (r#"info!("done {id}");"#, 1),
        (r#"info!("{message}");"#, 1),
        (r#"info!(id, "done {}", id);"#, 1),
        (r#"info!("done", id);"#, 1),
        (r"info!(id);", 1),
        (r#"info!(why = "text");"#, 1),
        (r#"select! { _ = f() => info!("done {id}") }"#, 1),
        (r#"fn f() { g(|| debug!("{x}")); }"#, 1),
        (r#"println!("{x}"); panic!("{x}");"#, 0),
    ];
    for (text, expected) in rows {
        let source = Source::parse("src/a.rs", &format!("fn a() {{ {text} }}"));
        let findings = check(&source);
        assert_eq!(findings.len(), expected, "{text}: {findings:?}");
    }
}
