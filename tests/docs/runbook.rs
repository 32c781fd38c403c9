//! Whatever the driver says to people has an entry in the runbook, and no entry is about something else.

use std::collections::BTreeSet;

use rds_csi::csi::rpc::Rpc;
use rds_csi::csi::status::{code, number};
use rds_csi::domain::error::{Effect, Kind};
use tonic::Code;

use super::codes::{Words, words};
use super::page::{first_column, read, section};

const RUNBOOK: &str = "docs/operations.md";
const REFUSALS: &str = "## What the controller says";

/// Makers of refusals whose words are made elsewhere, and where.
const WORDS_ELSEWHERE: [&str; 3] = [
    // `ConnectError`: see the test about failures that an operator has to end.
    "src/rds/backend/failure.rs: not_sent",
    // Two callers in that file, each with an entry of its own.
    "src/domain/capacity.rs: out_of_range",
    // The client of Kubernetes' own words.
    "src/k8s/error.rs: from",
];

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rows() -> Vec<String> {
    let runbook = read(RUNBOOK);
    let rows = first_column(section(&runbook, REFUSALS));
    rows.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_alert_has_an_entry_and_no_entry_is_dead() {
    let runbook = read(RUNBOOK);
    let entries = first_column(section(&runbook, "## Alerts"));
    let entries: BTreeSet<&str> = entries.iter().flat_map(|cell| quoted(cell)).collect();
    let rules = read("helm/rds-csi/files/alerts.yaml");
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: BTreeSet<&str> = alerts.collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    assert_eq!(entries, alerts);
}

#[test]
fn every_event_has_an_entry_with_its_severity_and_no_entry_is_dead() {
    let runbook = read(RUNBOOK);
    let entries: BTreeSet<String> = first_column(section(&runbook, "## Events"))
        .into_iter()
        .map(str::to_owned)
        .collect();
    let source = read("src/k8s/events/notice.rs");
    let arms = source.lines().filter_map(|line| line.split_once("=> ("));
    let events = arms.filter_map(|(_, arm)| {
        let (severity, rest) = arm.split_once(", \"")?;
        let (reason, _) = rest.split_once('"')?;
        Some(match severity {
            "Warning" => format!("`{reason}` (Warning)"),
            _ => format!("`{reason}`"),
        })
    });
    let events: BTreeSet<String> = events.collect();
    assert!(events.len() > 10, "{events:?}");
    assert_eq!(entries, events);
}

#[test]
fn every_place_that_refuses_for_good_has_an_entry() {
    let rows = rows();
    let phrases: Vec<&str> = rows.iter().flat_map(|cell| quoted(cell)).collect();
    let words = words();
    let sites: Vec<_> = words.iter().flat_map(|file| &file.sites).collect();
    assert!(sites.len() > 15, "{sites:?}");
    let mut missing = Vec::new();
    for site in sites {
        let is_known = |text: &String| phrases.iter().any(|phrase| text.contains(phrase));
        let exempt = WORDS_ELSEWHERE.contains(&site.place.as_str());
        if exempt == site.texts.iter().any(is_known) {
            missing.push(site);
        }
    }
    assert!(missing.is_empty(), "{RUNBOOK} says nothing of {missing:#?}");
}

#[test]
fn every_entry_about_a_refusal_quotes_the_source() {
    let rows = rows();
    let said: Vec<String> = words().into_iter().flat_map(|file| file.texts).collect();
    let phrases = rows.iter().flat_map(|cell| quoted(cell));
    let dead = phrases.filter(|phrase| !said.iter().any(|text| text.contains(phrase)));
    assert_eq!(dead.collect::<Vec<_>>(), [""; 0], "nothing says these");
}

#[test]
fn every_code_that_the_driver_answers_has_an_entry_and_no_other() {
    let kinds = Kind::ALL.into_iter();
    let all = kinds.flat_map(|kind| Rpc::ALL.map(|rpc| (rpc, kind)));
    let answered = all.flat_map(|(rpc, kind)| {
        [Effect::None, Effect::Unknown].map(|effect| code(rpc, kind, effect))
    });
    let answered: BTreeSet<i32> = answered.map(i32::from).collect();
    let rows = rows();
    let codes = rows.iter().flat_map(|cell| {
        let outside: Vec<&str> = cell.split('`').step_by(2).collect();
        let words = outside.join(" ");
        let words: Vec<String> = words
            .split(|c: char| !c.is_ascii_alphabetic() && c != '_')
            // `log` marks what is only logged.
            .filter(|word| !word.is_empty() && word != &"log")
            .map(str::to_owned)
            .collect();
        words
    });
    let codes: BTreeSet<i32> = codes.map(|word| number(&word)).collect();
    assert!(!codes.contains(&i32::from(Code::Unknown)), "{rows:?}");
    assert_eq!(codes, answered);
}

/// Variants of an enum for which a function that only knows two answers says yes.
fn variants_with_true(source: &str, function: &str) -> Vec<String> {
    let (_, after) = source.split_once(function).expect("the function");
    let (yes, _) = after.split_once("=> true").expect("an arm that says yes");
    let names = yes.split("Self::").skip(1);
    let names = names.filter_map(|rest| rest.split([' ', '(', '|']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_failure_to_connect_that_an_operator_has_to_end_has_an_entry() {
    let rows = rows();
    let phrases: Vec<&str> = rows.iter().flat_map(|cell| quoted(cell)).collect();
    let source = read("src/rds/transport/error.rs");
    let variants = variants_with_true(&source, "fn needs_operator");
    assert!(variants.len() > 3, "{variants:?}");
    for variant in variants {
        let declared = [format!("\n    {variant} {{"), format!("\n    {variant}(")];
        let at = declared.iter().find_map(|text| source.find(text));
        let before = source.get(..at.expect("a variant")).unwrap_or_default();
        let message = before.rsplit("#[error(").next().unwrap_or_default();
        let is_known = phrases.iter().any(|phrase| message.contains(phrase));
        assert!(is_known, "{RUNBOOK} says nothing of {variant}: {message}");
    }
}

#[test]
fn the_words_of_a_file_are_read() {
    let all: Vec<Words> = words();
    let texts: usize = all.iter().map(|file| file.texts.len()).sum();
    assert!(
        all.len() > 100 && texts > 1000,
        "{} files, {texts} texts",
        all.len()
    );
}
