//! The exact text of every line.

use super::*;
use crate::rds::command::Read;
use crate::rds::value::{MountPoint, Prefix};

/// Renders with a nonce that is shown as `N`.
fn text(line: &Line) -> String {
    line.render(&Nonce::new(7))
        .unwrap()
        .replace("0000000000000007", "N")
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
        form: ReadForm::Text,
    });
    let expected = [
        r#":local s "csi-a";/disk remove [find where slot=$s && nvme-tcp-server-nqn="f" && nvme-tcp-server-allow-host-name="g" && nvme-tcp-export=no]"#,
        r#":put "N-0";/disk print detail where slot=$s"#,
        r#":put "N-1";/file print detail where name~"/csi-a\\.""#,
        r#":put "N-2""#,
    ];
    assert_eq!(text(&removed), expected.join(";"));

    let files = [file("/pool/csi-a.x.img"), file("/pool/csi-a.y.img")];
    let gone = Line::remove_files(&slot("csi-a"), &files, ReadForm::Text);
    let expected = [
        r#":local s "csi-a";/file remove [find where name="pool/csi-a.x.img"]"#,
        r#"/file remove [find where name="pool/csi-a.y.img"];:put "N-0""#,
        "/disk print detail where slot=$s",
        r#":put "N-1";/file print detail where name~"/csi-a\\.";:put "N-2""#,
    ];
    assert_eq!(text(&gone), expected.join(";"));

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
            Read::DiskCount(prefix),
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
            Read::BackingFiles(slot("a.b")),
            r#"/file print detail where name~"/a\\.b\\.""#,
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
