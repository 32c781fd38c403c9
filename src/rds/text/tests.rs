//! Recorded listings, damaged ones, and any entry printed and read back.

mod recorded;
mod roundtrip;

use std::fmt::Write as _;

use super::*;

/// The records' slots or names, or why the listing was refused.
fn labels(text: &str) -> Result<Vec<String>, &'static str> {
    match read(text) {
        Ok(records) => Ok(records.iter().map(Record::label).collect()),
        Err(ReadError::Text { why, .. }) => Err(why),
        Err(other) => panic!("{other}"),
    }
}

fn check(text: &str, expected: Result<&[&str], &str>) {
    let expected = expected.map(|labels| labels.iter().map(ToString::to_string).collect());
    assert_eq!(labels(text), expected, "{text}");
    assert_eq!(
        labels(&text.replace('\n', "\r\n")),
        expected,
        "with CR LF: {text}"
    );
}

#[test]
fn legend_without_records_is_an_empty_listing() {
    for text in [
        "",
        "\n",
        "Flags: B - BLOCK-DEVICE\n",
        "Flags: B - BLOCK-DEVICE;\nM - MOUNTED\n\n",
    ] {
        check(text, Ok(&[]));
    }
}

#[test]
fn index_may_grow_wider_but_not_fall() {
    let listing = |indexes: &[&str]| {
        let record =
            |index: &&str| format!("{index} B type=file\n     slot=\"s{}\"\n\n", index.trim());
        indexes.iter().map(record).collect::<String>()
    };
    check(
        &listing(&[" 0", " 9", "10", "99", "100"]),
        Ok(&["s0", "s9", "s10", "s99", "s100"]),
    );
    check(&listing(&["26", "27", "31"]), Ok(&["s26", "s27", "s31"]));
    check(
        &listing(&[" 5", " 5"]),
        Err("this line belongs to no record"),
    );
    check(
        &listing(&[" 5", " 4"]),
        Err("this line belongs to no record"),
    );
}

#[test]
fn continuation_that_begins_with_a_number_starts_no_record() {
    let text = " 0  B   type=raid slot=\"a\" size=53 687 091\n        200 512 raid-master=none\n";
    let records = read(text).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].number("size").unwrap(), Some(53_687_091_200_512));
}

#[test]
fn damaged_listings_are_refused() {
    let table = [
        ("failure: x\n", "this line belongs to no record"),
        (
            "Columns: SLOT, SIZE\n0  a  1\n",
            "this line belongs to no record",
        ),
        (
            " 0  B  type=file slot=\"a\"\nslot=\"b\"\n",
            "this line belongs to no record",
        ),
        (
            " 0  B  type=file slot=\"a\"\n\n        size=1\n",
            "this line belongs to no record",
        ),
        (
            " 0  B  type=file slot=\"a\"\n        slot=\"b\"\n",
            "a property comes twice",
        ),
        (" 0  B  type=file slot=\"a\n", "a quote is not closed"),
        (" 0  B  \n", "a record has no properties"),
        (" 0  B  ;;; only a comment\n", "a record has no properties"),
        (" 0  12  type=file\n", "this line belongs to no record"),
    ];
    for (text, why) in table {
        check(text, Err(why));
    }
}

#[test]
fn comments_do_not_become_properties_or_records() {
    let real = "       type=file slot=\"real\" size=1 nvme-tcp-export=no\n\n";
    let plain = [
        "slot=\"fake\"",
        "type=file slot=\"fake\" size=2 nvme-tcp-export=yes",
        " 1  B  type=file slot=\"fake\"",
        "\"unclosed",
        "failure: no space",
        ";;; again",
    ];
    for comment in plain {
        check(&format!(" 0  B  ;;; {comment}\n{real}"), Ok(&["real"]));
    }
    // A comment of several lines can spoil a listing, but not add to it or change it.
    let spoiled = [
        "x\n       type=file slot=\"fake\" size=2",
        "x\n       type=file slot=\"fake\"\n\n 1  B  type=file slot=\"fake2\"",
        "x\n 1  B  type=file slot=\"fake\"",
        "x\n       type=file slot=\"fake\" serial=\"",
    ];
    for comment in spoiled {
        let outcome = labels(&format!(" 0  B  ;;; {comment}\n{real}"));
        assert!(outcome.is_err(), "{comment:?}: {outcome:?}");
    }
    check(
        &format!(" 0  B  ;;; one\ntwo\n       three\n{real}"),
        Ok(&["real"]),
    );
    let records = read(&format!(" 0  B  ;;; one\ntwo\n       three\n{real}")).unwrap();
    assert_eq!(records[0].get("comment"), Some("one two three"));
}

#[test]
fn content_of_a_text_file_does_not_become_properties() {
    let first = " 0  name=a.txt type=.txt file size=9\n    contents=size=7 name=x\n";
    let listing = format!("{first}slot=y\n\nany \"thing\n\n 1  name=b type=directory\n");
    check(&listing, Ok(&["a.txt", "b"]));
}

#[test]
fn ten_megabytes_are_read_in_linear_time() {
    let mut listing = String::from("Flags: B - BLOCK-DEVICE\n");
    for index in 0..9000 {
        // One value is most of a megabyte's thousandth; one record holds very many lines.
        writeln!(
            listing,
            "{index:>2}  B   type=file slot=\"csi-{index}\"\n        model=\""
        )
        .unwrap();
        for _ in 0..15 {
            writeln!(listing, "        {}", "m".repeat(72)).unwrap();
        }
        listing.push_str("        \" size=1 nvme-tcp-export=no\n\n");
    }
    assert!(listing.len() > 10_000_000, "{}", listing.len());
    assert_eq!(read(&listing).unwrap().len(), 9000);

    let mut one = String::from(" 0  B   type=file slot=\"a\" size=");
    for _ in 0..125_000 {
        writeln!(one, "        {}", "123 ".repeat(18).trim()).unwrap();
    }
    assert_eq!(read(&one).unwrap().len(), 1);
    assert!(read(&"x=\"".repeat(3_000_000)).is_err());
}
