//! What the figures were taken on: without that they mean nothing.

use std::fs;

use super::report::Table;

/// With what kept how many processors busy while figures were taken.
pub(crate) fn table((what, busy): (&str, f64)) -> Table {
    let mut table = Table::new("Taken on", &["what", "value"]);
    let mut row = |what: &str, value: String| table.row(vec![what.to_owned(), value]);
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_default();
    row("processors", format!("{processors} x {model}"));
    row(
        "memory",
        field("/proc/meminfo", "MemTotal").unwrap_or_default(),
    );
    row(
        "kernel",
        read("/proc/sys/kernel/osrelease").trim().to_owned(),
    );
    row("rds-csi", env!("CARGO_PKG_VERSION").to_owned());
    row(what, format!("{busy:.2} processors"));
    table
}

/// The value of the first line `key : value`.
fn field(path: &str, key: &str) -> Option<String> {
    let text = read(path);
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(found, _)| found.trim() == key)?;
    Some(value.trim().to_owned())
}

/// Empty if there is no such file: a table with a gap is better than no table.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
