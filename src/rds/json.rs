//! Reads what `:serialize to=json` writes: a list of flat objects.
//!
//! Integers may come as `2048`, `2048.000000` or `"2048"`, booleans as such or as words, and the
//! text may be spread over lines. All become the raw text that the text form would show.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::rds::error::{ReadError, excerpt};
use crate::rds::record::Record;

/// Whole numbers beyond 2^53 (8 PiB) are not exact in the decimal form and are refused in it.
const EXACT_DECIMAL: f64 = 9_007_199_254_740_992.0;

/// Reads a list of records, or a single record.
///
/// # Errors
/// [`ReadError::Json`] for anything else, also for an object that has a key twice.
pub fn read(text: &str) -> Result<Vec<Record>, ReadError> {
    let trimmed = text.trim();
    let parsed = if trimmed.starts_with('{') {
        serde_json::from_str(trimmed).map(|record| vec![record])
    } else {
        serde_json::from_str(trimmed)
    };
    parsed.map_err(|source| ReadError::Json {
        source,
        begins: excerpt(trimmed),
    })
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut record = Record::default();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if !record.insert(&key, raw(value)) {
                return Err(A::Error::custom(format_args!(
                    "the key {key:?} comes twice"
                )));
            }
        }
        Ok(record)
    }
}

/// The value as the text form would show it.
fn raw(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(decimal) if number.is_f64() && is_exact(decimal) => format!("{decimal:.0}"),
            _ => number.to_string(),
        },
        // No property the driver reads is a list; it is kept for the eye.
        nested @ (Value::Array(_) | Value::Object(_)) => nested.to_string(),
    }
}

fn is_exact(decimal: f64) -> bool {
    decimal.fract() == 0.0 && decimal.abs() < EXACT_DECIMAL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let records = read(text).unwrap();
        let [record] = records.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!(record.fields().collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn every_spelling_of_a_number_gives_the_same_raw_value() {
        check(r#"[{"size":2048}]"#, &[("size", "2048")]);
        check(r#"[{"size":2048.000000}]"#, &[("size", "2048")]);
        check(r#"[{"size":"2048"}]"#, &[("size", "2048")]);
        check(
            r#"[{"size":18446744073709551615}]"#,
            &[("size", "18446744073709551615")],
        );
        check(r#"[{"size":1.5}]"#, &[("size", "1.5")]);
        check(
            r#"[{"size":16003143565312.000000}]"#,
            &[("size", "16003143565312")],
        );
    }

    #[test]
    fn booleans_lists_and_layout_do_not_matter() {
        check(
            r#"[{"a":true,"b":false,"c":"no"}]"#,
            &[("a", "yes"), ("b", "no"), ("c", "no")],
        );
        check("[\n  {\n    \"a\" : \"x\"\n  }\n]\n", &[("a", "x")]);
        check(r#"{"a":null}"#, &[("a", "")]);
        check(r#"[{"a":[1,2]}]"#, &[("a", "[1,2]")]);
        check(
            r#"[{"a":";;; x=\"1\" $y\r\n[fake] 0 B"}]"#,
            &[("a", ";;; x=\"1\" $y\r\n[fake] 0 B")],
        );
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn anything_but_one_list_of_records_is_refused() {
        let bad = [
            "",
            "[",
            "[{}",
            "null",
            "[1]",
            "[{}] []",
            "failure: no space",
            r#"[{"slot":"a","slot":"b"}]"#,
            "[{\"a\":\"line\nbreak\"}]",
        ];
        for text in bad {
            assert!(
                matches!(read(text), Err(ReadError::Json { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn inexact_decimal_is_not_read_as_a_size() {
        let records = read(r#"[{"slot":"a","size":9007199254740993.000000}]"#).unwrap();
        let size = records[0].number("size");
        // The decimal was rounded before we saw it; being whole is not enough.
        assert!(size.is_err(), "{size:?}");
    }
}
