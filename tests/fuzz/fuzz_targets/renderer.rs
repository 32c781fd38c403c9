//! No accepted value leaves its quotes in a rendered line, and no rejected one gets there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rds_csi::rds::command::ReadForm;
use rds_csi::rds::line::{Line, PublishLine, RemakeLine};
use rds_csi::rds::names::Names;
use rds_csi::rds::value::{DeviceName, Nonce, Slot};

fuzz_target!(|input: (String, [String; 4], u64)| {
    let (slot, names, random) = input;
    let Ok(slot) = Slot::new(&slot) else { return };
    let mut parsed = names.iter().map(|name| DeviceName::new(name).ok());
    let mut next = || parsed.next().flatten();
    let (Some(old_subsystem), Some(old_host)) = (next(), next()) else { return };
    let (Some(subsystem), Some(host)) = (next(), next()) else { return };
    let expected = Names::Pair { subsystem: old_subsystem, host: old_host };
    let pair = Names::Pair { subsystem, host };
    let form = ReadForm::Json;
    let publish = PublishLine {
        slot: slot.clone(),
        expected: expected.clone(),
        pair: pair.clone(),
        form,
    };
    let remake = RemakeLine { slot: slot.clone(), expected, pair, form };
    let lines = [Line::publish(&publish), Line::remake(&remake)];
    for line in lines {
        let line = line.expect("names of one mode");
        let Ok(text) = line.render(&Nonce::new(random)) else { continue };
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
        let (skeleton, values) = tokenize(&text);
        for name in &names {
            assert!(values.contains(name), "{name:?} is not in {text:?}");
        }
        assert!(values.contains(&slot.as_str().to_owned()));
        // Outside quotes nothing depends on the values.
        assert!(skeleton.starts_with(":local s @;:local n @;:local h @;/disk set [find where slot=$s"));
        assert_eq!(skeleton.matches('@').count(), values.len());
        assert_eq!(skeleton.matches("/disk").count(), line_menus(line.verb()));
    }
});

/// How often the menu stands in a line: one step each, and the read-back.
fn line_menus(verb: &str) -> usize {
    if verb == "remake" { 5 } else { 4 }
}

/// Reads RouterOS quoting: the line with every value replaced by `@`, and the values.
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
