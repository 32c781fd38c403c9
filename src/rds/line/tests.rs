//! Lines as text: exact forms, limits, and that no value leaves its quotes.

use proptest::prelude::*;

use super::*;
use crate::rds::command::Read;
use crate::rds::names::Names;
use crate::rds::value::{
    BackingFile, DeviceName, MAX_NAME, MAX_NEW_SLOT, MAX_PATH, MAX_SLOT, MountPoint, Prefix, Slot,
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

/// Renders with a nonce that is shown as `N`.
fn text(line: &Line) -> String {
    line.render(&Nonce::new(7))
        .unwrap()
        .replace("0000000000000007", "N")
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

const READ: &str = ":put [:serialize to=json value=[/disk print detail as-value where slot=$s]]";

#[test]
fn publish_prepares_cuts_opens_and_reads_back() {
    let line = publish(pair("free", "fh"), pair("sub", "host"), ReadForm::Json);
    let expected = [
        r#":local s "csi-a";:local n "sub";:local h "host""#,
        r#"/disk set [find where slot=$s && nvme-tcp-server-nqn="free" && nvme-tcp-server-allow-host-name="fh" && nvme-tcp-export=no] nvme-tcp-server-nqn=$n nvme-tcp-server-allow-host-name=$h"#,
        r"/disk set [find where slot=$s && nvme-tcp-server-nqn=$n && nvme-tcp-server-allow-host-name=$h] nvme-tcp-export=no",
        r"/disk set [find where slot=$s && nvme-tcp-server-nqn=$n && nvme-tcp-server-allow-host-name=$h && nvme-tcp-export=no] nvme-tcp-export=yes",
        r#":put "N-0""#,
        READ,
        r#":put "N-1""#,
    ];
    assert_eq!(text(&line), expected.join(";"));
    assert!(line.mutates());
    assert_eq!(line.verb(), "publish");
}

#[test]
fn one_name_modes_compare_and_change_only_their_name() {
    let host = publish(
        Names::Host(name("")),
        Names::Host(name("h2")),
        ReadForm::Text,
    );
    let expected = [
        r#":local s "csi-a";:local h "h2""#,
        r#"/disk set [find where slot=$s && nvme-tcp-server-allow-host-name="" && nvme-tcp-export=no] nvme-tcp-server-allow-host-name=$h"#,
        r"/disk set [find where slot=$s && nvme-tcp-server-allow-host-name=$h] nvme-tcp-export=no",
        r"/disk set [find where slot=$s && nvme-tcp-server-allow-host-name=$h && nvme-tcp-export=no] nvme-tcp-export=yes",
        r#":put "N-0";/disk print detail where slot=$s;:put "N-1""#,
    ];
    assert_eq!(text(&host), expected.join(";"));

    let both = [
        (
            Names::Subsystem(name("a")),
            Names::Subsystem(name("b")),
            "allow-host-name",
        ),
        (Names::Host(name("a")), Names::Host(name("b")), "server-nqn"),
    ];
    for (old, new, absent) in both {
        for line in every_grant_line(&old, &new) {
            assert!(!text(&line).contains(absent), "{line:?}");
        }
    }
}

fn every_grant_line(old: &Names, new: &Names) -> [Line; 4] {
    let (slot, form) = (slot("csi-a"), ReadForm::Json);
    let (old, new) = (old.clone(), new.clone());
    [
        publish(old.clone(), new.clone(), form),
        Line::revoke(&RevokeLine {
            slot: slot.clone(),
            pair: new.clone(),
            free: old.clone(),
            form,
        })
        .unwrap(),
        Line::reopen(&ReopenLine {
            slot: slot.clone(),
            pair: new.clone(),
            form,
        }),
        Line::remake(&RemakeLine {
            slot,
            expected: old,
            pair: new,
            form,
        })
        .unwrap(),
    ]
}

#[test]
fn revoke_frees_only_what_is_cut() {
    let line = Line::revoke(&RevokeLine {
        slot: slot("csi-a"),
        pair: pair("sub", ""),
        free: pair("f", "g"),
        form: ReadForm::Json,
    });
    let expected = [
        r#":local s "csi-a";:local n "sub";:local h """#,
        r"/disk set [find where slot=$s && nvme-tcp-server-nqn=$n && nvme-tcp-server-allow-host-name=$h] nvme-tcp-export=no",
        r#"/disk set [find where slot=$s && nvme-tcp-server-nqn=$n && nvme-tcp-server-allow-host-name=$h && nvme-tcp-export=no] nvme-tcp-server-nqn="f" nvme-tcp-server-allow-host-name="g""#,
        r#":put "N-0""#,
        READ,
        r#":put "N-1""#,
    ];
    assert_eq!(text(&line.unwrap()), expected.join(";"));
}

#[test]
fn remake_writes_the_told_pair_in_two_steps() {
    let line = Line::remake(&RemakeLine {
        slot: slot("csi-a"),
        expected: pair("old", "oh"),
        pair: pair("sub", "host"),
        form: ReadForm::Json,
    });
    let expected = [
        r#":local s "csi-a";:local n "sub";:local h "host""#,
        r#"/disk set [find where slot=$s && nvme-tcp-server-nqn="old" && nvme-tcp-server-allow-host-name="oh" && nvme-tcp-export=no] nvme-tcp-server-nqn=$n"#,
        r#"/disk set [find where slot=$s && nvme-tcp-server-nqn=$n && nvme-tcp-server-allow-host-name="oh" && nvme-tcp-export=no] nvme-tcp-server-allow-host-name=$h"#,
        r"/disk set [find where slot=$s && nvme-tcp-server-nqn=$n && nvme-tcp-server-allow-host-name=$h] nvme-tcp-export=no",
        r"/disk set [find where slot=$s && nvme-tcp-server-nqn=$n && nvme-tcp-server-allow-host-name=$h && nvme-tcp-export=no] nvme-tcp-export=yes",
        r#":put "N-0""#,
        READ,
        r#":put "N-1""#,
    ];
    assert_eq!(text(&line.unwrap()), expected.join(";"));
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
fn volume_lines_are_conditional() {
    let created = [
        r#":local s "csi-a";:if ([:len [/disk find where slot=$s]] = 0) do={/disk add type=file slot=$s file-path="/storage-pool/metal-csi/a.img" file-size=1073741824 mount-filesystem=no nvme-tcp-export=no nvme-tcp-server-port=4420 nvme-tcp-server-nqn="f" nvme-tcp-server-allow-host-name="g"}"#,
        r#":put "N-0""#,
        READ,
        r#":put "N-1""#,
    ];
    assert_eq!(text(&create("csi-a", 1 << 30).unwrap()), created.join(";"));

    let removed = Line::remove_entry(&RemoveEntryLine {
        slot: slot("csi-a"),
        names: pair("f", "g"),
        files: Prefix::new("pool/csi-a.").unwrap(),
        form: ReadForm::Text,
    });
    let expected = [
        r#":local s "csi-a";/disk remove [find where slot=$s && nvme-tcp-server-nqn="f" && nvme-tcp-server-allow-host-name="g" && nvme-tcp-export=no]"#,
        r#":put "N-0";/disk print detail where slot=$s"#,
        r#":put "N-1";/file print detail where name~"^pool/csi-a\\.""#,
        r#":put "N-2""#,
    ];
    assert_eq!(text(&removed), expected.join(";"));

    let gone = Line::remove_file(&file("/pool/a.img"), ReadForm::Text);
    let expected = r#"/file remove [find where name="pool/a.img"];:put "N-0";/file print detail where name="pool/a.img";:put "N-1""#;
    assert_eq!(text(&gone), expected);

    let grown = Line::grow(&slot("csi-a"), 2048, ReadForm::Text).unwrap();
    let expected = r#":local s "csi-a";/disk set [find where slot=$s && size<2048] file-size=2048;:put "N-0";/disk print detail where slot=$s;:put "N-1""#;
    assert_eq!(text(&grown), expected);
}

#[test]
fn probe_removes_what_it_made_under_either_name() {
    let line = Line::probe(&ProbeLine {
        slot: slot("csi-probe"),
        file: file("/pool/p.img"),
        size: 1 << 20,
        before: pair("a", ""),
        after: pair("b", "c"),
        form: ReadForm::Text,
    });
    let read = "/disk print detail where slot=$s";
    let expected = [
        r#":local s "csi-probe";:if ([:len [/disk find where slot=$s]] = 0) do={/disk add type=file slot=$s file-path="/pool/p.img" file-size=1048576 mount-filesystem=no nvme-tcp-export=no nvme-tcp-server-nqn="a" nvme-tcp-server-allow-host-name=""};:put "N-0""#,
        read,
        r#":put "N-1";/disk set [find where slot=$s && nvme-tcp-server-nqn="a" && nvme-tcp-server-allow-host-name="" && nvme-tcp-export=no] nvme-tcp-server-nqn="b" nvme-tcp-server-allow-host-name="c";:put "N-2""#,
        read,
        r#":put "N-3";/disk remove [find where slot=$s && nvme-tcp-server-nqn="a" && nvme-tcp-server-allow-host-name="" && nvme-tcp-export=no]"#,
        r#"/disk remove [find where slot=$s && nvme-tcp-server-nqn="b" && nvme-tcp-server-allow-host-name="c" && nvme-tcp-export=no]"#,
        r#"/file remove [find where name="pool/p.img"];:put "N-4""#,
        read,
        r#":put "N-5""#,
    ];
    assert_eq!(text(&line.unwrap()), expected.join(";"));
}

#[test]
fn reads_ask_for_one_thing_each() {
    let (pool, prefix) = (
        MountPoint::new("pool").unwrap(),
        Prefix::new("csi-").unwrap(),
    );
    let table = [
        (
            Read::Disk(slot("a")),
            r#"/disk print detail where slot="a""#,
        ),
        (
            Read::Disks(prefix.clone()),
            r#"/disk print detail where slot~"^csi-""#,
        ),
        (
            Read::DiskCount(prefix.clone()),
            r#":put [:len [/disk find where slot~"^csi-"]]"#,
        ),
        (
            Read::Pool(pool),
            r#"/disk print detail where mount-point="pool""#,
        ),
        (
            Read::File(file("/p/a")),
            r#"/file print detail where name="p/a""#,
        ),
        (
            Read::Files(prefix),
            r#"/file print detail where name~"^csi-""#,
        ),
        (Read::Version, ":put [/system/resource/get version]"),
    ];
    for (read, expected) in table {
        let line = Line::read("test", &[read], ReadForm::Text).unwrap();
        assert_eq!(text(&line), format!("{expected};:put \"N-0\""));
        assert!(!line.mutates());
    }
    let system = r#":put [/system/resource/get version];:put "N-0";:put [/system/resource/get uptime];:put "N-1";:put [/system/identity/get name];:put "N-2""#;
    assert_eq!(text(&Line::system()), system);
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
                files: Prefix::new(&"p".repeat(MAX_PATH)).unwrap(),
                form,
            }),
            Line::remove_file(&file(&path), form),
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
