//! Rows as `print` shows them: one record, three forms (text, as-value, JSON).

pub(crate) mod detail;
pub(crate) mod disk;
pub(crate) mod file;

use crate::sim::value::{ItemId, Value};

/// How a field looks in text. All forms carry the same value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shown {
    /// Bare: enums, paths, names in `/file`.
    Word(String),
    /// In quotes.
    Quoted(String),
    /// Digits in groups of three.
    Grouped(u64),
    /// Digits as they are.
    Number(u64),
    /// One decimal and a binary unit in text, exact elsewhere.
    Human(u64),
    YesNo(bool),
    Percent(u64),
}

/// One row.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: ItemId,
    /// Letters of the flags that are set.
    pub(crate) flags: Vec<char>,
    pub(crate) comment: String,
    pub(crate) fields: Vec<(&'static str, Shown)>,
    /// Flags as booleans, which only as-value and JSON show.
    pub(crate) hidden: Vec<(&'static str, bool)>,
}

// === impl Shown ===

impl Shown {
    pub(crate) fn word(text: impl Into<String>) -> Self {
        Self::Word(text.into())
    }

    pub(crate) fn quoted(text: impl Into<String>) -> Self {
        Self::Quoted(text.into())
    }

    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Word(text) | Self::Quoted(text) => Value::Text(text.clone()),
            Self::Grouped(number) | Self::Number(number) | Self::Human(number) => {
                Value::from(*number)
            }
            Self::Percent(number) => Value::Text(format!("{number}%")),
            Self::YesNo(value) => Value::Bool(*value),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Word(text) => text.clone(),
            Self::Quoted(text) => {
                let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{}\"", escaped.replace('\r', "\\r").replace('\n', "\\n"))
            }
            Self::Grouped(number) => grouped(*number),
            Self::Number(number) => number.to_string(),
            Self::Human(number) => human(*number),
            Self::YesNo(value) => if *value { "yes" } else { "no" }.to_owned(),
            Self::Percent(number) => format!("{number}%"),
        }
    }
}

// === impl Record ===

impl Record {
    /// The row as an array: `.id` first, then keys in alphabetical order.
    pub(crate) fn value(&self, only: Option<&[&str]>) -> Value {
        let wanted = |name: &str| only.is_none_or(|only| only.contains(&name));
        let shown = self
            .fields
            .iter()
            .map(|(name, shown)| (*name, shown.value()));
        let hidden = self
            .hidden
            .iter()
            .map(|(name, value)| (*name, Value::Bool(*value)));
        let comment = ("comment", Value::Text(self.comment.clone()));
        let comment = (!self.comment.is_empty()).then_some(comment);
        let mut pairs: Vec<_> = shown
            .chain(hidden)
            .chain(comment)
            .filter(|(name, _)| wanted(name))
            .collect();
        pairs.sort_by_key(|(name, _)| *name);
        pairs.insert(0, (".id", Value::Id(self.id)));
        Value::Map(pairs)
    }

    /// One property; nothing for one the row does not have.
    pub(crate) fn property(&self, name: &str) -> Value {
        if let Some((_, shown)) = self.fields.iter().find(|(field, _)| *field == name) {
            return shown.value();
        }
        match name {
            ".id" => Value::Id(self.id),
            "comment" => Value::Text(self.comment.clone()),
            _ => {
                let hidden = self.hidden.iter().find(|(field, _)| *field == name);
                hidden.map_or(Value::Nil, |(_, value)| Value::Bool(*value))
            }
        }
    }
}

/// `53 687 091 200`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `50.0GiB`. The unit changes only above 1024, hence `1024.0MiB` for 1 GiB.
#[allow(
    clippy::cast_precision_loss,
    reason = "one decimal is all that is shown"
)]
pub(crate) fn human(bytes: u64) -> String {
    if bytes <= 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    let mut unit = "";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value <= 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1}{unit}")
}

#[cfg(test)]
mod tests {
    use super::{grouped, human};

    #[test]
    fn sizes_change_unit_only_above_1024() {
        let rows = [
            (5, "5"),
            (1 << 30, "1024.0MiB"),
            (50 << 30, "50.0GiB"),
            (1 << 40, "1024.0GiB"),
            (10 << 30, "10.0GiB"),
            (1_610_612_736, "1.5GiB"),
        ];
        for (bytes, text) in rows {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn numbers_come_in_groups_of_three() {
        for (number, text) in [(0, "0"), (999, "999"), (53_687_091_200, "53 687 091 200")] {
            assert_eq!(grouped(number), text);
        }
    }
}
