//! No value leaves its quotes, whatever it holds.

use proptest::prelude::*;

use super::*;

/// A second reading of RouterOS quoting, written from its rules: returns the line with every quoted
/// value replaced by `@`, and the values.
fn tokenize(line: &str) -> (String, Vec<String>) {
    let (mut skeleton, mut values) = (String::new(), Vec::new());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            skeleton.push(c);
            continue;
        }
        let mut value = String::new();
        loop {
            match chars.next().expect("an open quote") {
                '"' => break,
                '$' => panic!("a variable inside quotes: {line}"),
                '\\' => match chars.next().expect("an open escape") {
                    same @ ('\\' | '"' | '$') => value.push(same),
                    other => panic!("an unexpected escape {other:?}: {line}"),
                },
                plain => value.push(plain),
            }
        }
        skeleton.push('@');
        values.push(value);
    }
    (skeleton, values)
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        "[\"\\\\$\\[\\]{};:@ ]{0,40}",
        Just("\";/disk remove [find];:put \"".to_owned()),
        Just("\\".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_value_leaves_its_quotes(
        id in "[A-Za-z0-9._-]{1,32}",
        old in (any_name(), any_name()),
        new in (any_name(), any_name()),
        random: u64,
    ) {
        let with = |slot_text: &str, old: &(String, String), new: &(String, String), form| {
            let slot = slot(slot_text);
            let (expected, pair) = (pair(&old.0, &old.1), pair(&new.0, &new.1));
            Line::publish(&PublishLine { slot, expected, pair, form }).unwrap()
        };
        for form in FORMS {
            let line = with(&id, &old, &new, form);
            let plain = with("a", &("b".into(), "c".into()), &("d".into(), "e".into()), form);
            let rendered = line.render(&Nonce::new(random)).unwrap();
            prop_assert!(rendered.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let (skeleton, values) = tokenize(&rendered);
            prop_assert_eq!(skeleton, tokenize(&plain.render(&Nonce::new(0)).unwrap()).0);
            let sentinels = [format!("{random:016x}-0"), format!("{random:016x}-1")];
            let [first, last] = sentinels;
            let sent = vec![id.clone(), new.0.clone(), new.1.clone(), old.0.clone(), old.1.clone(), first, last];
            prop_assert_eq!(values, sent);
        }
    }

    #[test]
    fn values_are_refused_or_printable(text in "\\PC{0,20}|[\\x00-\\x7f]{0,20}|.{0,20}") {
        let printable = text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        prop_assert_eq!(DeviceName::new(&text).is_ok(), printable);
        prop_assert!(Slot::new(&text).is_err() || printable);
        prop_assert!(BackingFile::new(&text).is_err() || printable);
        prop_assert!(Prefix::new(&text).is_err() || printable);
    }
}
