//! Values of the RouterOS script language: how they compare, print and become JSON.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sim::personality::JsonIntegers;

/// An internal id, printed `*2B`. Grows with every new item and is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId(pub u64);

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// An unset variable, or the result of a silent verb.
    Nil,
    Bool(bool),
    Num(i64),
    Text(String),
    Id(ItemId),
    /// Whole seconds.
    Time(u64),
    List(Vec<Self>),
    Map(Vec<(&'static str, Self)>),
}

/// How `:serialize to=json` was asked to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonStyle {
    pub(crate) integers: JsonIntegers,
    /// `options=json.no-string-conversion`: text that looks like a number stays text.
    pub(crate) keep_strings: bool,
    /// `options=json.pretty`.
    pub(crate) pretty: bool,
}

// === impl ItemId ===

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*{:X}", self.0)
    }
}

impl ItemId {
    /// Reads `*2B`.
    pub fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text.strip_prefix('*')?, 16)
            .ok()
            .map(Self)
    }
}

// === impl Value ===

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Num(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => Ok(()),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Num(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::Id(value) => write!(f, "{value}"),
            Self::Time(seconds) => f.write_str(&clock_form(*seconds)),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ";" })?;
                }
                Ok(())
            }
            // RouterOS escapes nothing here: a `;` in a value cannot be told from a separator.
            Self::Map(pairs) => {
                for (index, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key}={value}", if index == 0 { "" } else { ";" })?;
                }
                Ok(())
            }
        }
    }
}

impl Value {
    /// The number of elements or characters, as `:len` counts.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Nil => 0,
            Self::List(values) => values.len(),
            Self::Map(pairs) => pairs.len(),
            other => other.to_string().len(),
        }
    }

    /// The value as a condition; `None` if it has no truth.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Self::Nil => Some(false),
            Self::Bool(value) => Some(*value),
            Self::Num(value) => Some(*value != 0),
            Self::Text(text) => parse_bool(text),
            Self::Id(_) | Self::Time(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The value as a whole number, reading size suffixes in text.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Num(value) => Some(*value),
            Self::Text(text) => parse_size(text),
            Self::Time(seconds) => i64::try_from(*seconds).ok(),
            Self::Nil | Self::Bool(_) | Self::Id(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// Equality after conversion: `no` equals false, `1G` equals 1073741824.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Text(b)) | (Self::Text(b), Self::Bool(a)) => {
                parse_bool(b) == Some(*a)
            }
            (Self::Num(a), Self::Text(b)) | (Self::Text(b), Self::Num(a)) => {
                parse_size(b) == Some(*a)
            }
            (Self::Text(a), Self::Text(b)) => a == b,
            (a, b) => a == b || a.to_string() == b.to_string(),
        }
    }

    /// The order of two numbers or two texts.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (a, b) => Some(a.number()?.cmp(&b.number()?)),
        }
    }

    /// Writes JSON as `:serialize` does.
    pub(crate) fn to_json(&self, style: JsonStyle) -> String {
        let mut out = String::new();
        self.write_json(style, 0, &mut out);
        out
    }

    fn write_json(&self, style: JsonStyle, depth: usize, out: &mut String) {
        match self {
            Self::Nil => out.push_str("\"\""),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Num(value) => push_number(*value, style.integers, out),
            Self::Text(text) => match text.parse::<i64>() {
                Ok(number) if !style.keep_strings => push_number(number, style.integers, out),
                _ => push_quoted(text, out),
            },
            Self::Id(_) | Self::Time(_) => push_quoted(&self.to_string(), out),
            Self::List(values) => {
                let items: Vec<_> = values.iter().map(|value| (None, value)).collect();
                write_items(&items, ('[', ']'), style, depth, out);
            }
            Self::Map(pairs) => {
                let items: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| (Some(*key), value))
                    .collect();
                write_items(&items, ('{', '}'), style, depth, out);
            }
        }
    }
}

fn write_items(
    items: &[(Option<&'static str>, &Value)],
    (open, close): (char, char),
    style: JsonStyle,
    depth: usize,
    out: &mut String,
) {
    let new_line = |depth: usize, out: &mut String| {
        if style.pretty {
            out.push_str("\r\n");
            out.extend(std::iter::repeat_n("    ", depth));
        }
    };
    out.push(open);
    for (index, (key, value)) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        new_line(depth + 1, out);
        if let Some(key) = key {
            push_quoted(key, out);
            out.push(':');
        }
        value.write_json(style, depth + 1, out);
    }
    if !items.is_empty() {
        new_line(depth, out);
    }
    out.push(close);
}

fn push_number(number: i64, integers: JsonIntegers, out: &mut String) {
    out.push_str(&number.to_string());
    if integers == JsonIntegers::SixDecimals {
        out.push_str(".000000");
    }
}

fn push_quoted(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Reads `yes`, `no`, `true`, `false`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// Reads a whole number with an optional binary suffix: `file-size=1G` makes 1 GiB.
pub(crate) fn parse_size(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)? {
        "" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(1_i64 << shift)
}

/// Durations in scripts: `1w2d03:04:05`.
fn clock_form(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let unit = |count: u64, name| match count {
        0 => String::new(),
        _ => format!("{count}{name}"),
    };
    let (weeks, days) = (unit(days / 7, "w"), unit(days % 7, "d"));
    let (hours, minutes, seconds) = (hours % 24, minutes % 60, seconds % 60);
    format!("{weeks}{days}{hours:02}:{minutes:02}:{seconds:02}")
}

/// Durations in listings: `1w2d3h4m5s`, units that are zero left out.
pub(crate) fn unit_form(seconds: u64) -> String {
    let parts = [
        (seconds / 604_800, 'w'),
        (seconds / 86_400 % 7, 'd'),
        (seconds / 3_600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    match shown.as_slice() {
        [] => "0s".to_owned(),
        shown => shown.concat(),
    }
}
