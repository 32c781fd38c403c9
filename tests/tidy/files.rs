//! What a file looks like from outside: its name, its length, its first line.

use super::source::Source;

/// Longer than this and a file holds more than one idea. There is no list of exceptions.
const MAX_LINES: usize = 400;

/// Names that say nothing about what is inside; and `foo.rs` beside `foo/` keeps search results
/// readable where twenty files called `mod.rs` do not.
const BANNED_NAMES: [&str; 5] = ["mod.rs", "utils.rs", "util.rs", "helpers.rs", "misc.rs"];

pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!(
            "{lines} lines, the limit is {MAX_LINES}: split it by idea"
        ));
    }
    if !source.text.starts_with("//! ") {
        findings.push("the first line is not a `//!` that says the purpose".to_owned());
    }
    if BANNED_NAMES.contains(&source.file_name()) {
        findings.push("this file name says nothing about its content".to_owned());
    }
    findings
}

#[test]
fn a_badly_shaped_file_is_found() {
    let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
    let limit = format!("//! At the limit.\n{}", "\n".repeat(MAX_LINES - 1));
    let rows = [
        ("src/a.rs", "//! Fine.\n", 0),
        ("src/a.rs", &limit, 0),
        ("src/a.rs", &long, 1),
        ("src/a.rs", "use std::fmt;\n", 1),
        ("src/a.rs", "// Only a comment.\n", 1),
        ("src/a/mod.rs", "//! Fine.\n", 1),
        ("tests/utils.rs", "//! Fine.\n", 1),
    ];
    for (path, text, expected) in rows {
        let findings = check(&Source::parse(path, text));
        assert_eq!(findings.len(), expected, "{path}: {findings:?}");
    }
}
