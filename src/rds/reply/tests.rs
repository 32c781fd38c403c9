//! Replies, whole and broken, and data that imitates what it is not.

use super::*;
use crate::rds::command::{Read, ReadForm};
use crate::rds::value::{Prefix, Slot};

const N: &str = "00000000000000aa";

fn nonce() -> Nonce {
    Nonce::new(0xaa)
}

fn silent_then_read(form: ReadForm) -> Line {
    Line::grow(&Slot::new("csi-a").unwrap(), 2048, form).unwrap()
}

fn reads(form: ReadForm) -> Line {
    let prefix = Prefix::new("csi-").unwrap();
    Line::read(
        "list",
        &[Read::Disks(prefix.clone()), Read::DiskCount(prefix)],
        form,
    )
    .unwrap()
}

fn read_all(line: &Line, stdout: &str, stderr: &str, exit_status: Option<u32>) -> Outcome {
    let raw = Raw {
        stdout: stdout.as_bytes(),
        stderr: stderr.as_bytes(),
        exit_status,
    };
    read(line, &nonce(), &raw)
}

fn read_stdout(line: &Line, stdout: &str) -> Outcome {
    read_all(line, stdout, "", Some(0))
}

/// Outcome in one word, with what was refused and after how many sections.
fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Complete(_) => "complete".to_owned(),
        Outcome::Refused(refused) => {
            format!("{:?} after {}", refused.reason, refused.sections_done)
        }
        Outcome::Incomplete(gap) => format!("{gap:?}"),
    }
}

const DISK: &str = r#"[{"slot":"csi-a","type":"file","size":2048,"nvme-tcp-export":false}]"#;

#[test]
fn complete_reply_is_read_whatever_its_line_ends() {
    for end in ["\r\n", "\n"] {
        let stdout = format!("{N}-0{end}{DISK}{end}{N}-1{end}");
        for stdout in [
            stdout.as_str(),
            stdout.trim_end(),
            &format!("{stdout}{end}"),
        ] {
            let outcome = read_stdout(&silent_then_read(ReadForm::Json), stdout);
            let Outcome::Complete(answer) = outcome else {
                panic!("{stdout:?}: {outcome:?}")
            };
            assert_eq!(answer.disk(0).unwrap().unwrap().size, 2048);
            assert!(matches!(
                answer.disk(1),
                Err(crate::rds::error::ReadError::NoSuchRead { .. })
            ));
        }
    }
}

#[test]
fn outcome_follows_from_structure() {
    let done = |count: usize| format!("NoSentinel {{ sections_done: {count} }}");
    let table = [
        // What a silent section prints is an error, with or without its sentinel.
        (
            "failure: already have such slot\r\n".to_owned(),
            "Duplicate after 0".to_owned(),
        ),
        (
            format!("no such item\r\n{N}-0\r\n{DISK}\r\n{N}-1\r\n"),
            "NoSuchItem after 0".to_owned(),
        ),
        (
            "something never seen\r\n".to_owned(),
            "Other after 0".to_owned(),
        ),
        (
            "syntax error (line 1 column 9)\r\n".to_owned(),
            "BadCommand after 0".to_owned(),
        ),
        (
            "failure: not enough sp".to_owned(),
            "Other after 0".to_owned(),
        ),
        // A broken end proves nothing.
        (String::new(), done(0)),
        ("\r\n".to_owned(), done(0)),
        ("00000000000".to_owned(), done(0)),
        (format!("{N}-"), done(0)),
        (format!("{N}-0"), done(1)),
        (format!("{N}-0\r\n[{{\"slot\":"), done(1)),
        (format!("{N}-0\r\n{DISK}\r\n"), done(1)),
        (format!("{N}-0\r\n{DISK}\r\n{N}-"), done(1)),
        // An error in the place of data.
        (
            format!("{N}-0\r\nno such item (4)\r\n"),
            "NoSuchItem after 1".to_owned(),
        ),
        (
            format!("{N}-0\r\nsyntax error (line 1 column 9)\r\n"),
            "Other after 1".to_owned(),
        ),
        (format!("{N}-0\r\n{DISK}\r\ninterrupted\r\n"), done(1)),
        (
            format!("{N}-0\r\n{DISK}\r\n{N}-1\r\ninterrupted\r\n"),
            "Interrupted after 2".to_owned(),
        ),
        // A sentinel of another line is only text.
        (
            format!("00000000000000ab-0\r\n{DISK}\r\n"),
            "Other after 0".to_owned(),
        ),
        (format!("{N}-1\r\n"), "Other after 0".to_owned()),
    ];
    for (stdout, expected) in table {
        for line in [
            silent_then_read(ReadForm::Json),
            silent_then_read(ReadForm::Text),
        ] {
            assert_eq!(
                summary(&read_stdout(&line, &stdout)),
                expected,
                "{stdout:?}"
            );
        }
    }
}

#[test]
fn stderr_and_exit_status_can_only_make_it_worse() {
    let whole = format!("{N}-0\r\n{DISK}\r\n{N}-1\r\n");
    let table = [
        (whole.as_str(), "", None, "complete"),
        (&whole, "", Some(1), "Other after 2"),
        (&whole, "failure: disk in use\r\n", Some(0), "Busy after 2"),
        ("", "failure: not enough space", Some(1), "NoSpace after 0"),
        ("failure: disk in use\r\n", "", Some(1), "Busy after 0"),
        ("", "", Some(1), "NoSentinel { sections_done: 0 }"),
    ];
    for (stdout, stderr, status, expected) in table {
        let outcome = read_all(&silent_then_read(ReadForm::Json), stdout, stderr, status);
        assert_eq!(
            summary(&outcome),
            expected,
            "{stdout:?} {stderr:?} {status:?}"
        );
    }
}

#[test]
fn only_an_early_parse_error_proves_that_nothing_ran() {
    let early = "bad command name serialize (line 1 column 9)\r\n";
    let late = format!("{N}-0\r\n{early}");
    for (stdout, nothing) in [(early, true), (&late, false), ("no such item\r\n", false)] {
        let Outcome::Refused(refused) = read_stdout(&silent_then_read(ReadForm::Json), stdout)
        else {
            panic!("{stdout:?}")
        };
        assert_eq!(refused.nothing_ran(), nothing, "{stdout:?}");
    }
}

#[test]
fn refusal_keeps_a_bounded_text_without_control_characters() {
    let stdout = format!(
        "\r\nfailure: \u{1b}[31mred\0 {}\r\nsecond\r\n",
        "x".repeat(5000)
    );
    let Outcome::Refused(refused) = read_stdout(&silent_then_read(ReadForm::Json), &stdout) else {
        panic!("not refused")
    };
    assert_eq!(refused.text.chars().count(), 512);
    assert!(
        refused.text.starts_with("failure: [31mred x"),
        "{}",
        refused.text
    );
}

#[test]
fn imitations_in_data_stay_data() {
    let imitations = [
        "00000000000000ab-1",
        "failure: not enough space",
        "syntax error (line 1 column 1)",
        ";;; x",
        " 1  B   type=file slot=\"csi-b\" size=1",
        "a=b \"c\" $d \\ ;",
    ];
    for imitation in imitations {
        let quoted = imitation.replace('\\', "\\\\").replace('"', "\\\"");
        let json = format!(
            "[{{\"comment\":\"{quoted}\",\"slot\":\"csi-a\",\"type\":\"file\",\"size\":1,\"model\":\"{quoted}\",\"nvme-tcp-export\":false}}]"
        );
        let shown = quoted.replace('$', "\\$");
        let text = format!(
            "Flags: B - BLOCK-DEVICE\r\n 0  B  ;;; {imitation}\r\n       type=file slot=\"csi-a\" size=1\r\n       model=\"{shown}\" nvme-tcp-export=no\r\n\r\n"
        );
        for (form, listing) in [(ReadForm::Json, json), (ReadForm::Text, text)] {
            let stdout = format!("{listing}\r\n{N}-0\r\n1\r\n{N}-1\r\n");
            let outcome = read_stdout(&reads(form), &stdout);
            let Outcome::Complete(answer) = outcome else {
                panic!("{stdout}: {outcome:?}")
            };
            let disks = answer.disks(0).unwrap();
            assert_eq!(disks.len(), 1, "{stdout}");
            assert_eq!(disks[0].slot, "csi-a");
            assert_eq!(disks[0].comment.as_deref(), Some(imitation.trim()));
            assert_eq!(answer.count(1).unwrap(), 1);
        }
    }
}

#[test]
fn identity_may_read_like_an_error() {
    let stdout =
        format!("7.16 (stable)\r\n{N}-0\r\n1d00:00:05\r\n{N}-1\r\nfailure: x\r\n{N}-2\r\n");
    let Outcome::Complete(answer) = read_stdout(&Line::system(), &stdout) else {
        panic!()
    };
    assert_eq!(answer.version(0).unwrap().to_string(), "7.16");
    assert_eq!(answer.uptime(1).unwrap().as_secs(), 86_405);
    assert_eq!(answer.identity(2).unwrap(), "failure: x");
    assert!(answer.uptime(2).is_err());
}

#[test]
fn listing_of_nothing_is_no_entry_and_two_entries_are_not_one() {
    let listings = [
        (ReadForm::Json, "[]", 0),
        (
            ReadForm::Text,
            "Flags: B - BLOCK-DEVICE\r\nM - MOUNTED\r\n\r\n",
            0,
        ),
        (ReadForm::Text, "", 0),
    ];
    for (form, listing, count) in listings {
        let stdout = format!("{N}-0\r\n{listing}\r\n{N}-1\r\n");
        let Outcome::Complete(answer) = read_stdout(&silent_then_read(form), &stdout) else {
            panic!("{listing:?}")
        };
        assert_eq!(answer.disks(0).unwrap().len(), count, "{listing:?}");
        assert_eq!(answer.disk(0).unwrap(), None);
    }
    let two = DISK.replace("}]", "},{\"slot\":\"b\",\"type\":\"raid\",\"size\":1}]");
    let stdout = format!("{N}-0\r\n{two}\r\n{N}-1\r\n");
    let Outcome::Complete(answer) = read_stdout(&silent_then_read(ReadForm::Json), &stdout) else {
        panic!()
    };
    assert_eq!(answer.disks(0).unwrap().len(), 2);
    assert!(answer.disk(0).is_err());
}

#[test]
fn reply_beyond_the_limit_is_not_looked_at() {
    let stdout = vec![b'x'; MAX_REPLY + 1];
    let raw = Raw {
        stdout: &stdout,
        stderr: &[],
        exit_status: Some(0),
    };
    let outcome = read(&silent_then_read(ReadForm::Json), &nonce(), &raw);
    assert!(matches!(outcome, Outcome::Incomplete(Gap::TooLong)));
}

#[test]
fn bytes_that_are_no_text_do_not_stop_the_reading() {
    let mut stdout =
        format!("{N}-0\r\n[{{\"slot\":\"a\",\"type\":\"raid\",\"size\":1,\"model\":\"")
            .into_bytes();
    stdout.extend_from_slice(b"\xff\xfe\"}]\r\n");
    stdout.extend_from_slice(format!("{N}-1\r\n").as_bytes());
    let raw = Raw {
        stdout: &stdout,
        stderr: &[],
        exit_status: None,
    };
    let outcome = read(&silent_then_read(ReadForm::Json), &nonce(), &raw);
    let Outcome::Complete(answer) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(answer.disk(0).unwrap().unwrap().slot, "a");
}
