//! The documentation says what there is, and nothing else.

use std::fmt::Write as _;

use rds_csi::metrics::catalog::{ALL, Spec};

/// The table as it must stand in the documentation.
fn table() -> String {
    let mut table = "| name | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for Spec {
        name,
        kind,
        labels,
        help,
    } in ALL
    {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.as_str(), labels.join(", "));
        writeln!(table, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    table
}

#[test]
fn the_documentation_lists_every_metric_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let expected = table();
    let begin = text.find("| name | type").unwrap_or(text.len());
    let (_, rest) = text.split_at(begin);
    let rows = rest.lines().take_while(|line| line.starts_with('|'));
    assert!(
        rows.eq(expected.lines()),
        "docs/metrics.md must have this:\n{expected}"
    );
}
