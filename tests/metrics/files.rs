//! The alerts and the dashboard of the chart: what they ask for exists, and Prometheus understands it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rds_csi::metrics::catalog::{ALL, Kind};
use serde_json::Value;

use crate::tools::{run, tools};

pub(crate) fn alerts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/rds-csi/files/alerts.yaml")
}

fn unit_tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metrics/alerts.test.yaml")
}

fn dashboard() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/rds-csi/files/dashboard.json");
    fs::read_to_string(path).unwrap()
}

/// The queries of all panels, with values for the variables that Grafana fills in.
pub(crate) fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&dashboard()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let queries = targets.flatten().map(|target| {
        let query = target["expr"].as_str().unwrap();
        query
            .replace("$__rate_interval", "5m")
            .replace("$namespace", ".*")
            .replace("$job", ".*")
    });
    queries.collect()
}

/// The metrics that a text names, as the catalog has them.
fn named(text: &str) -> BTreeSet<&'static str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    let names = words.filter(|word| word.starts_with("rds_csi_"));
    names
        .map(|name| {
            let spec = ALL.iter().find(|spec| match spec.kind {
                Kind::Counter | Kind::Gauge => spec.name == name,
                Kind::Histogram => ["_bucket", "_sum", "_count"]
                    .iter()
                    .any(|part| name.strip_suffix(part) == Some(spec.name)),
            });
            spec.unwrap_or_else(|| panic!("there is no metric {name}"))
                .name
        })
        .collect()
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    let text = fs::read_to_string(alerts()).unwrap();
    let named = named(&text);
    assert!(named.len() > 10, "{named:?}");
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let queries = queries();
    assert!(queries.len() > 30, "{}", queries.len());
    let all: BTreeSet<_> = ALL.iter().map(|spec| spec.name).collect();
    assert_eq!(named(&queries.join("\n")), all);
}

#[test]
fn every_alert_has_a_test_in_which_it_fires() {
    let text = fs::read_to_string(alerts()).unwrap();
    let tests = fs::read_to_string(unit_tests()).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(tests.contains(name), "{name} has no test");
    }
}

#[test]
fn promtool_finds_the_alerts_sound_and_each_fires_when_it_should() {
    let Some(tools) = tools("promtool_finds_the_alerts_sound_and_each_fires_when_it_should") else {
        return;
    };
    for (words, file) in [
        (["check", "rules"], alerts()),
        (["test", "rules"], unit_tests()),
    ] {
        let mut command = Command::new(tools.join("promtool"));
        let (well, said) = run(command.args(words).arg(file));
        assert!(well, "{said}");
    }
}
