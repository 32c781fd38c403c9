//! Every flag and every value of the chart that the manual names exists.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory as _};
use rds_csi::cli::Cli;

use super::page::{Page, code_spans, fenced, pages};
use super::values;

/// Flags of other programs that the manual names, by program.
const FOREIGN: &[(&str, &[&str])] = &[
    (
        "cargo and its tests",
        &[
            "nocapture",
            "no-default-features",
            "release",
            "test",
            "bench",
            "lib",
            "count",
            "attachments",
            "samples",
            "volumes",
            "repeats",
            "latency",
            "markdown",
            "quick",
            "locked",
            "offline",
            "root",
            "version",
            "workspace",
        ],
    ),
    (
        "cargo-cyclonedx",
        &["format", "no-build-deps", "override-filename"],
    ),
    (
        "docker, buildah",
        &["target", "build-arg", "platform", "push", "read-only", "rm"],
    ),
    ("git", &["porcelain"]),
    ("helm", &["set", "set-string", "wait", "timeout"]),
    ("kubectl", &["for", "from-file", "timeout", "type"]),
    ("curl", &["data-urlencode"]),
    ("sidecars", &["leader-election", "reconcile-sync"]),
];

/// A flag in a text, and whatever stands behind its dashes.
fn flags(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    let flags = words.filter_map(|word| word.strip_prefix("--"));
    let flags = flags.filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()));
    flags.map(str::to_owned).collect()
}

/// All that `rds-csi` understands, in every role or in one.
fn known(role: Option<&str>) -> BTreeSet<String> {
    let mut command = Cli::command();
    command.build();
    let roles = command.get_subcommands();
    let roles = roles.filter(|one| role.is_none_or(|role| one.get_name() == role));
    let own = roles.flat_map(Command::get_arguments);
    let names = own.filter_map(|flag| flag.get_long());
    names.map(str::to_owned).collect()
}

fn code(page: &Page) -> Vec<&str> {
    let (spans, blocks) = (code_spans(&page.text), fenced(&page.text));
    spans.into_iter().chain(blocks).collect()
}

#[test]
fn every_flag_that_the_manual_names_exists() {
    let ours = known(None);
    let mut unused: BTreeSet<&str> = FOREIGN
        .iter()
        .flat_map(|(_, flags)| *flags)
        .copied()
        .collect();
    let foreign = unused.clone();
    let mut unknown = Vec::new();
    for page in pages() {
        for flag in flags(&code(&page).join("\n")) {
            unused.remove(flag.as_str());
            if !ours.contains(&flag) && !foreign.contains(flag.as_str()) {
                unknown.push(format!("{}: --{flag}", page.path));
            }
        }
    }
    assert_eq!(unknown, [""; 0], "nothing has these flags");
    assert_eq!(unused, BTreeSet::new(), "no page names these any more");
}

/// The role and the rest of a line that runs `rds-csi`.
fn invocation(line: &str) -> Option<(&str, &str)> {
    let line = line.split(" #").next().unwrap_or_default();
    let (_, after) = line.split_once("rds-csi ")?;
    let (role, rest) = after.trim_start().split_once(' ')?;
    Some((role, rest))
}

#[test]
fn a_role_is_only_given_flags_of_its_own() {
    let roles: Vec<String> = Cli::command()
        .get_subcommands()
        .map(|role| role.get_name().to_owned())
        .collect();
    let mut seen = 0;
    for page in pages() {
        for block in page.text.split("\n```").skip(1).step_by(2) {
            for line in block.replace("\\\n", " ").lines() {
                let Some((role, rest)) = invocation(line) else {
                    continue;
                };
                if !roles.iter().any(|one| one == role) {
                    continue;
                }
                let known = known(Some(role));
                for flag in flags(rest) {
                    let path = &page.path;
                    assert!(known.contains(&flag), "{path}: {role} has no --{flag}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 20, "{seen} flags");
}

/// The keys that `helm --set a=1,b.c=2` sets.
fn keys(line: &str) -> Vec<&str> {
    let sets = line.split("--set").skip(1);
    let given = sets.filter_map(|set| set.split_whitespace().find(|word| word.contains('=')));
    let pairs = given.flat_map(|pairs| pairs.split(','));
    pairs.filter_map(|pair| pair.split('=').next()).collect()
}

#[test]
fn every_value_of_the_chart_that_the_manual_names_exists() {
    let known = values::read();
    let exists = |name: &str| {
        let below = format!("{name}.");
        known
            .iter()
            .any(|value| value.path == name || value.path.starts_with(&below))
    };
    let tops: BTreeSet<&str> = known
        .iter()
        .filter_map(|value| value.path.split('.').next())
        .collect();
    let mut seen = 0;
    for page in pages() {
        for key in fenced(&page.text).into_iter().flat_map(keys) {
            assert!(exists(key), "{}: the chart has no value {key}", page.path);
            seen += 1;
        }
        // Names of spans and their attributes look alike.
        if page.path == "docs/telemetry.md" {
            continue;
        }
        let is_path = |span: &&str| {
            let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
            let top = span.split('.').next().unwrap_or_default();
            plain
                && span.contains('.')
                && tops.contains(top)
                && !span.contains("srvlab")
                && !span.split('.').any(|part| part == "rs")
        };
        for name in code_spans(&page.text).into_iter().filter(is_path) {
            assert!(exists(name), "{}: the chart has no value {name}", page.path);
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} values");
}
