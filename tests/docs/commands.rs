//! What people are told to paste can be pasted.

use std::io::Write as _;
use std::process::{Command, Stdio};

use testbed::manual::{commands, settings};

use super::page::{pages, read};

/// What a shell has against a script; it runs none of it.
fn objections(script: &str) -> String {
    let mut shell = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash runs");
    let mut stdin = shell.stdin.take().expect("a pipe");
    stdin.write_all(script.as_bytes()).expect("bash reads");
    drop(stdin);
    let output = shell.wait_with_output().expect("bash ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn every_block_that_is_meant_to_be_pasted_is_a_shell_script() {
    let mut seen = 0;
    for page in pages() {
        for block in commands(&page.text) {
            assert_eq!(objections(&block), "", "{}:\n{block}", page.path);
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen} blocks");
    assert_ne!(objections("if true; then\n"), "");
}

/// Names of variables that a text uses, as `$NAME` or `${NAME...`.
fn used(text: &str) -> Vec<String> {
    let after = text.split('$').skip(1);
    let names = after.map(|rest| {
        let rest = rest.trim_start_matches('{');
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_');
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    });
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[test]
fn an_installation_sets_all_that_it_uses_and_uses_all_that_it_sets() {
    let blocks = commands(&read("docs/install.md"));
    let (first, rest) = blocks.split_first().expect("blocks");
    let set: Vec<String> = settings(first).into_iter().map(|(name, _)| name).collect();
    assert!(set.len() > 5, "the first block is none of settings");
    let mut known = set.clone();
    let mut seen = Vec::new();
    for block in rest {
        // What a block assigns itself, as in `PV=$(kubectl ...)`.
        let assigned = block.lines().filter_map(|line| line.split_once("=$("));
        known.extend(assigned.map(|(name, _)| name.to_owned()));
        for name in used(block) {
            assert!(known.contains(&name), "nothing sets ${name}:\n{block}");
            seen.push(name);
        }
    }
    for name in set {
        assert!(seen.contains(&name), "{name} is set and not used");
    }
}
