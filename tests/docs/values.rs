//! The values of the chart with their defaults and comments, as `values.yaml` has them.

use super::page;

/// One value that an installation may set.
pub(crate) struct Value {
    /// `rds.secret.name`.
    pub(crate) path: String,
    /// What it is if nobody sets it.
    pub(crate) default: Default,
    /// The comment above it.
    pub(crate) meaning: String,
}

/// The default of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// As it is written.
    Scalar(String),
    /// A list that is too long for a table.
    List,
    /// None: a map that has a comment of its own.
    Map,
}

pub(crate) fn read() -> Vec<Value> {
    parse(&page::read("helm/rds-csi/values.yaml"))
}

/// The subset of YAML that the file is written in: maps, with lists and scalars in them.
fn parse(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut list: Option<usize> = None;
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim();
        if list.is_some_and(|of| trimmed.is_empty() || indent > of) {
            continue;
        }
        list = None;
        if trimmed.is_empty() {
            comment.clear();
        } else if let Some(words) = trimmed.strip_prefix('#') {
            comment.push(words.trim());
        } else {
            let (key, default) = trimmed.split_once(':').expect("a key");
            parents.retain(|(of, _)| *of < indent);
            let keys = parents.iter().map(|(_, key)| *key).chain([key]);
            let path = keys.collect::<Vec<_>>().join(".");
            let next = lines.iter().skip(at + 1).map(|line| line.trim());
            let next = next.filter(|line| !line.is_empty() && !line.starts_with('#'));
            let is_list = next
                .clone()
                .next()
                .is_some_and(|line| line.starts_with('-'));
            match default.trim() {
                "" if !is_list => {
                    parents.push((indent, key));
                    if !comment.is_empty() {
                        values.push(value(path, Default::Map, &mut comment));
                    }
                }
                "" => {
                    list = Some(indent);
                    values.push(value(path, Default::List, &mut comment));
                }
                default => {
                    let default = Default::Scalar(default.trim_matches('"').to_owned());
                    values.push(value(path, default, &mut comment));
                }
            }
        }
    }
    borrow(&mut values);
    values
}

/// What is said of a value of the first sidecar holds for those of the others.
fn borrow(values: &mut [Value]) {
    let below = |path: &str| {
        let (_, rest) = path.strip_prefix("sidecars.")?.split_once('.')?;
        Some(rest.to_owned())
    };
    let first = values.iter().filter(|value| !value.meaning.is_empty());
    let first: Vec<_> = first
        .filter_map(|value| Some((below(&value.path)?, value.meaning.clone())))
        .collect();
    for value in values.iter_mut().filter(|value| value.meaning.is_empty()) {
        let same = below(&value.path);
        let same = first.iter().find(|(path, _)| Some(path) == same.as_ref());
        if let Some((_, meaning)) = same {
            value.meaning.clone_from(meaning);
        }
    }
}

fn value(path: String, default: Default, comment: &mut Vec<&str>) -> Value {
    Value {
        path,
        default,
        meaning: std::mem::take(comment).join(" "),
    }
}

#[test]
fn values_have_their_defaults_and_the_comments_above_them() {
    let text = "# Of the file.\n\n# A map.\na:\n  # One.\n  b: \"\"\n  c:\n    d: 1\n\n  e:\n    - x: 2\n      # Inside.\n      y: 3\nf: {}\nsidecars:\n  g:\n    # Two.\n    h: 4\n  i:\n    h: 5\n";
    let read: Vec<_> = parse(text)
        .into_iter()
        .map(|value| (value.path, value.default, value.meaning))
        .collect();
    let scalar = |text: &str| Default::Scalar(text.to_owned());
    let row = |path: &str, default, meaning: &str| (path.to_owned(), default, meaning.to_owned());
    let expected = [
        row("a", Default::Map, "A map."),
        row("a.b", scalar(""), "One."),
        row("a.c.d", scalar("1"), ""),
        row("a.e", Default::List, ""),
        row("f", scalar("{}"), ""),
        row("sidecars.g.h", scalar("4"), "Two."),
        row("sidecars.i.h", scalar("5"), "Two."),
    ];
    assert_eq!(read, expected);
}

#[test]
fn every_value_says_what_it_is() {
    let mute = read().into_iter().filter(|value| value.meaning.is_empty());
    let mute: Vec<String> = mute.map(|value| value.path).collect();
    assert_eq!(mute, [""; 0], "values.yaml has no comment above these");
}
