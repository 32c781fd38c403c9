//! A trace for a terminal.

use super::scale::time;
use super::waterfall::{Row, Waterfall};
use crate::operator::table::table;
use crate::operator::words::moment;

/// Characters of the time axis.
const AXIS: u64 = 32;
const MICROS: u64 = 1_000_000;

pub(super) fn lines(waterfall: &Waterfall<'_>) -> String {
    let Waterfall {
        id,
        length,
        begin,
        rows,
        hidden,
    } = waterfall;
    let head = vec![
        vec!["trace".to_owned(), (*id).to_owned()],
        vec!["began".to_owned(), moment(begin / MICROS)],
        vec!["length".to_owned(), time(*length)],
    ];
    let rows = rows.iter().map(|row| line(row, *length));
    let rows: Vec<_> = rows.collect();
    let more = match hidden {
        0 => String::new(),
        _ => format!("and {hidden} spans more\n"),
    };
    [table(&[], &head), table(&[], &rows) + &more].join("\n")
}

fn line(row: &Row<'_>, length: u64) -> Vec<String> {
    let details = row.details.iter();
    let details: Vec<_> = details
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    vec![
        format!("{}{}", "  ".repeat(row.depth), row.name),
        time(row.duration),
        bar(row, length),
        details.join(" "),
    ]
}

fn bar(row: &Row<'_>, length: u64) -> String {
    let at = |micros: u64| {
        let share = u128::from(micros) * u128::from(AXIS) / u128::from(length.max(1));
        usize::try_from(share).unwrap_or_default()
    };
    let begin = at(row.offset);
    let end = at(row.offset.saturating_add(row.duration));
    match end.saturating_sub(begin) {
        0 => format!("{}▏", " ".repeat(begin)),
        blocks => format!("{}{}", " ".repeat(begin), "█".repeat(blocks)),
    }
}
