//! Lines as text: exact forms, limits, and that no value leaves its quotes.

mod forms;
mod quoting;

use super::*;
use crate::rds::names::Names;
use crate::rds::value::{
    BackingFile, DeviceName, MAX_NAME, MAX_NEW_SLOT, MAX_PATH, MAX_SLOT, Prefix, Slot,
};

const FORMS: [ReadForm; 2] = [ReadForm::Json, ReadForm::Text];

fn slot(text: &str) -> Slot {
    Slot::new(text).unwrap()
}

fn name(text: &str) -> DeviceName {
    DeviceName::new(text).unwrap()
}

fn file(text: &str) -> BackingFile {
    BackingFile::new(text).unwrap()
}

fn pair(subsystem: &str, host: &str) -> Names {
    Names::Pair {
        subsystem: name(subsystem),
        host: name(host),
    }
}

fn publish(expected: Names, pair: Names, form: ReadForm) -> Line {
    Line::publish(&PublishLine {
        slot: slot("csi-a"),
        expected,
        pair,
        form,
    })
    .unwrap()
}

fn create(slot_text: &str, size: u64) -> Result<Line, LineError> {
    Line::create(&CreateLine {
        slot: slot(slot_text),
        file: file("/storage-pool/metal-csi/a.img"),
        size,
        port: 4420,
        subsystem: Some(name("f")),
        host: Some(name("g")),
        form: ReadForm::Json,
    })
}

#[test]
fn lines_that_must_not_be_sent_are_refused() {
    let mixed = PublishLine {
        slot: slot("a"),
        expected: pair("a", "b"),
        pair: Names::Host(name("c")),
        form: ReadForm::Json,
    };
    assert_eq!(
        Line::publish(&mixed),
        Err(LineError::MixedNames { verb: "publish" })
    );
    let long = "x".repeat(MAX_NEW_SLOT + 1);
    let too_long = LineError::SlotTooLong {
        slot: long.clone(),
        length: 33,
        limit: 32,
    };
    assert_eq!(create(&long, 1), Err(too_long));
    for bytes in [0, 1 << 63] {
        assert_eq!(create("a", bytes), Err(LineError::Size { bytes }));
        let grown = Line::grow(&slot("a"), bytes, ReadForm::Json);
        assert_eq!(grown, Err(LineError::Size { bytes }));
    }
    assert_eq!(
        Line::read("none", &[], ReadForm::Json),
        Err(LineError::Reads { count: 0, limit: 8 })
    );
    // Every byte of these names needs an escape, which doubles them.
    let quotes = "\"".repeat(MAX_NAME);
    let line = publish(
        pair(&quotes, &quotes),
        pair(&quotes, &quotes),
        ReadForm::Json,
    );
    assert!(matches!(
        line.render(&Nonce::new(0)),
        Err(LineError::TooLong {
            verb: "publish",
            ..
        })
    ));
}

#[test]
fn longest_lines_fit_and_a_usual_publish_is_about_a_kilobyte() {
    let (long_slot, long_name) = (slot(&"s".repeat(MAX_SLOT)), "n".repeat(MAX_NAME));
    let names = pair(&long_name, &long_name);
    let path = format!("/{}", "p".repeat(MAX_PATH - 1));
    for form in FORMS {
        let slot = long_slot.clone();
        let (pair, free) = (names.clone(), names.clone());
        let lines = [
            Line::revoke(&RevokeLine {
                slot: slot.clone(),
                pair,
                free,
                form,
            })
            .unwrap(),
            Line::remake(&RemakeLine {
                slot,
                expected: names.clone(),
                pair: names.clone(),
                form,
            })
            .unwrap(),
            Line::create(&CreateLine {
                slot: Slot::new(&"s".repeat(MAX_NEW_SLOT)).unwrap(),
                file: file(&path),
                size: 1 << 62,
                port: u16::MAX,
                subsystem: Some(name(&long_name)),
                host: Some(name(&long_name)),
                form,
            })
            .unwrap(),
            Line::remove_entry(&RemoveEntryLine {
                slot: long_slot.clone(),
                names: names.clone(),
                form,
            }),
            Line::remove_files(&long_slot, &vec![file(&path); MAX_FILES], form),
        ];
        for line in lines {
            assert!(
                line.render(&Nonce::new(u64::MAX)).is_ok(),
                "{}",
                line.verb()
            );
        }
    }
    let length = |node: usize| {
        let id = "csi-0123456789abcdef0123456789ab";
        let tail = "12-1763721600-0123456789abcdef";
        let subsystem = |middle: &str| format!("nqn.2000-02.com.mikrotik:{id}:{middle}{tail}");
        let host = |node: &str| format!("nqn.2026-11.io.srvlab.csi.rds:0123abcd:{node}:{tail}");
        let expected = pair(&subsystem("free:"), &host("free"));
        let line = PublishLine {
            slot: slot(id),
            expected,
            pair: pair(&subsystem(""), &host(&"n".repeat(node))),
            form: ReadForm::Json,
        };
        Line::publish(&line)
            .unwrap()
            .render(&Nonce::new(1))
            .unwrap()
            .len()
    };
    assert!(length(20) < 1200, "{}", length(20));
    assert!(length(80) < 1250, "{}", length(80));
}
