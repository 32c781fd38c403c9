//! Tests that the manual cites as evidence are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::page::{code_spans, pages, repository};

/// No name of a flag, a metric or a field is as long as the sentence that names a test.
const SENTENCE: usize = 5;

/// The names of all functions below `src`, `tests` and `testbed`.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "testbed/src"].map(repository).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let after = text.split("fn ").skip(1);
                let names = after.filter_map(|rest| rest.split(['(', '<']).next());
                found.extend(names.map(|name| name.trim().to_owned()));
            }
        }
    }
    found
}

fn is_sentence(span: &str) -> bool {
    let plain = span
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    plain && span.split('_').count() >= SENTENCE && !span.starts_with("rds_")
}

#[test]
fn every_test_that_the_manual_cites_exists() {
    let functions = functions();
    let mut cited = 0;
    let mut missing = Vec::new();
    for page in pages() {
        for name in code_spans(&page.text)
            .into_iter()
            .filter(|span| is_sentence(span))
        {
            cited += 1;
            if !functions.contains(name) {
                missing.push(format!("{}: {name}", page.path));
            }
        }
    }
    assert_eq!(missing, [""; 0], "there is no such test");
    assert!(cited > 30, "{cited} tests are cited");
}
