//! What is shown of a trace, and how, whatever is in it.

use serde_json::{Value, json};

use super::lines::lines;
use super::picture::svg;
use super::waterfall::{Tone, Waterfall};
use super::{Answer, Trace, is_repeated};

const RECORDED: &str = include_str!("../../../tests/recorded/attach-trace.json");
const PICTURE: &str = include_str!("../../../docs/attach-trace.svg");

/// A span of a trace: its id, its parent's, its name, begin, length and tags.
type Row<'a> = (&'a str, &'a str, &'a str, u64, u64, Value);

fn trace(rows: &[Row<'_>]) -> Trace {
    let spans = rows
        .iter()
        .map(|(id, parent, name, start, duration, tags)| {
            let tags = tags.as_object().unwrap().iter();
            let tags = tags.map(|(key, value)| json!({"key": key, "value": value}));
            let tags: Vec<_> = tags.collect();
            let parent = json!({"refType": "CHILD_OF", "traceID": "t", "spanID": parent});
            json!({
                "spanID": id, "operationName": name, "references": [parent],
                "startTime": start, "duration": duration, "tags": tags,
            })
        });
    let spans: Vec<_> = spans.collect();
    serde_json::from_value(json!({"traceID": "t", "spans": spans})).unwrap()
}

/// An attach that another node stands in the way of, its spans in no order.
fn refused() -> Trace {
    trace(&[
        (
            "d",
            "b",
            "decision",
            1_000_020_000,
            0,
            json!({"decided": "held-by-other"}),
        ),
        (
            "a",
            "",
            "csi.v1.Controller/ControllerPublishVolume",
            1_000_000_000,
            40_000,
            json!({"outcome": "FAILED_PRECONDITION", "csi.volume_id": "csi-1", "shard": 3,
                   "error": "a & b have it", "secret": "not shown"}),
        ),
        (
            "c",
            "b",
            "rds.command",
            1_000_004_000,
            12_000,
            json!({"outcome": "unreachable", "error": true, "shard": 4, "rds.verb": "read"}),
        ),
        (
            "b",
            "a",
            "volume.operation",
            1_000_002_000,
            30_000,
            json!({"csi.volume_id": "csi-1", "shard": 3, "lease.seconds_left": 5.123_456}),
        ),
        ("w", "a", "shard.queue", 1_000_001_000, 500, json!({})),
    ])
}

fn recorded() -> Trace {
    let answer: Answer<Vec<Trace>> = serde_json::from_str(RECORDED).unwrap();
    answer.data.unwrap().remove(0)
}

#[test]
fn spans_stand_under_what_they_are_part_of_in_the_order_of_their_begin() {
    let trace = refused();
    let waterfall = Waterfall::of(&trace).unwrap();
    assert_eq!((waterfall.begin, waterfall.length), (1_000_000_000, 40_000));
    let rows = waterfall.rows.iter();
    let rows: Vec<_> = rows.map(|row| (row.depth, row.name, row.tone)).collect();
    let expected = [
        (
            0,
            "csi.v1.Controller/ControllerPublishVolume",
            Tone::Otherwise,
        ),
        (1, "shard.queue", Tone::Waited),
        (1, "volume.operation", Tone::Step),
        (2, "rds.command", Tone::Failed),
        (2, "decision", Tone::Step),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_span_shows_only_what_the_ones_above_it_do_not() {
    let trace = refused();
    let waterfall = Waterfall::of(&trace).unwrap();
    let said = |row: usize| -> Vec<_> {
        let details = waterfall.rows[row].details.iter();
        details
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    };
    let root = [
        "outcome=FAILED_PRECONDITION",
        "error=a & b have it",
        "csi.volume_id=csi-1",
        "shard=3",
    ];
    assert_eq!(said(0), root);
    assert_eq!(said(2), ["lease.seconds_left=5.12"]);
    assert_eq!(said(3), ["outcome=unreachable", "rds.verb=read", "shard=4"]);
}

#[test]
fn a_trace_that_is_not_whole_is_shown_as_far_as_it_goes() {
    let none = json!({});
    let rows = [
        ("a", "", "first", 1, 5, none.clone()),
        // Its parent was lost.
        ("b", "lost", "orphan", 2, 3, none.clone()),
        // These two are below each other, and so below nothing.
        ("c", "d", "circle", 2, 3, none.clone()),
        ("d", "c", "circle", 2, 3, none.clone()),
    ];
    let damaged = trace(&rows);
    let waterfall = Waterfall::of(&damaged).unwrap();
    let names: Vec<_> = waterfall.rows.iter().map(|row| row.name).collect();
    assert_eq!(names, ["first", "orphan"]);
    assert_eq!(waterfall.hidden, 2);
    assert!(lines(&waterfall).ends_with("and 2 spans more\n"));
    assert!(svg(&waterfall).contains("and 2 spans more"));
    assert!(Waterfall::of(&trace(&rows[2..])).is_none());
    assert!(Waterfall::of(&trace(&[])).is_none());

    let ids: Vec<_> = (0..1_000).map(|id| id.to_string()).collect();
    let many = ids.iter().map(|id| (&**id, "", "same", 1, 0, none.clone()));
    let many = trace(&many.collect::<Vec<_>>());
    let waterfall = Waterfall::of(&many).unwrap();
    assert_eq!(waterfall.rows.len() + waterfall.hidden, 1_000);
    assert!(waterfall.rows.len() < 1_000);
}

#[test]
fn a_terminal_shows_a_line_for_each_span() {
    let trace = refused();
    let expected = "\
trace   t
began   1970-01-01T00:16:40Z
length  40 ms

csi.v1.Controller/ControllerPublishVolume  40 ms   ████████████████████████████████  outcome=FAILED_PRECONDITION error=a & b have it csi.volume_id=csi-1 shard=3
  shard.queue                              500 µs  █
  volume.operation                         30 ms    ████████████████████████         lease.seconds_left=5.12
    rds.command                            12 ms      █████████                      outcome=unreachable rds.verb=read shard=4
    decision                               0                       ▏                 decided=held-by-other
";
    let lines = lines(&Waterfall::of(&trace).unwrap());
    assert_eq!(lines, expected, "{lines}");
}

#[test]
fn the_picture_does_not_depend_on_the_order_in_which_spans_arrived() {
    let mut trace = refused();
    let one = svg(&Waterfall::of(&trace).unwrap());
    trace.spans.reverse();
    assert_eq!(svg(&Waterfall::of(&trace).unwrap()), one);
    assert!(one.contains("prefers-color-scheme:dark"));
    // A colour for each way that it went, and what it means.
    for tone in ["otherwise", "failed", "waited", "step"] {
        assert!(one.contains(&format!("<rect class=\"{tone}\"")), "{tone}");
    }
    assert!(one.contains(Tone::Failed.words()) && !one.contains(">done<"));
    assert!(!one.contains("not shown"), "an attribute that nobody chose");
}

#[test]
fn what_others_wrote_is_text_in_the_picture_and_stays_on_it() {
    let long = "x".repeat(10_000);
    let hostile = format!("</text><script>\u{1b}\"'&{long}");
    let tags = json!({"outcome": "OK", "error": hostile, "rds.slot": long});
    let trace = trace(&[
        ("a", "", &hostile, u64::MAX, u64::MAX, tags.clone()),
        ("b", "a", &long, 0, 1, tags),
    ]);
    let picture = svg(&Waterfall::of(&trace).unwrap());
    assert!(!picture.contains("<script") && !picture.contains('\u{1b}'));
    assert_eq!(
        picture.matches("<text").count(),
        picture.matches("</text>").count()
    );
    let lines = picture.lines().filter(|line| line.starts_with("<text"));
    for line in lines {
        assert!(line.len() < 1_000, "{line}");
    }
}

#[test]
fn the_picture_in_the_documentation_is_what_is_drawn_of_the_recorded_trace() {
    let trace = recorded();
    let picture = svg(&Waterfall::of(&trace).unwrap());
    assert!(
        picture == PICTURE,
        "draw it anew: rds-csi trace --from tests/recorded/attach-trace.json --svg docs/attach-trace.svg"
    );
}

#[test]
fn a_call_that_had_nothing_to_do_is_told_from_the_one_that_attached() {
    assert!(!is_repeated(&recorded()) && !is_repeated(&refused()));
    let again = json!({"decided": "as-it-stands"});
    assert!(is_repeated(&trace(&[("a", "", "decision", 1, 0, again)])));
}
