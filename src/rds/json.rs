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

/// Reads a list of records, or a single record.
///
/// # Errors
/// [`ReadError::Json`] for anything else, also for an object that has a key twice.
pub fn read(text: &str) -> Result<Vec<Record>, ReadError> {
    let exact = without_zero_fractions(text.trim());
    let parsed = if exact.starts_with('{') {
        serde_json::from_str(&exact).map(|record| vec![record])
    } else {
        serde_json::from_str(&exact)
    };
    parsed.map_err(|source| ReadError::Json {
        source,
        begins: excerpt(&exact),
    })
}

/// Writes `2048.000000` as `2048`. Read as a binary fraction a large size would come out rounded:
/// the JSON parser is not exact beyond 19 digits, and a byte count must be.
fn without_zero_fractions(text: &str) -> String {
    let mut exact = String::with_capacity(text.len());
    let mut rest = text;
    let (mut in_string, mut before) = (false, ' ');
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '"' => in_string = !in_string,
            // Whatever is escaped, even a quote, does not end the string.
            '\\' if in_string => length += rest.chars().nth(1).map_or(0, char::len_utf8),
            '.' if !in_string && before.is_ascii_digit() => {
                if let Some(after) = skip_zero_fraction(rest) {
                    rest = after;
                    continue;
                }
            }
            _ => {}
        }
        let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        exact.push_str(taken);
        (rest, before) = (after, c);
    }
    exact
}

/// What follows `.000`, if nothing but zeros is the whole fraction.
fn skip_zero_fraction(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('.')?;
    let after = digits.trim_start_matches('0');
    let goes_on = after.starts_with(|c: char| c.is_ascii_digit() || matches!(c, 'e' | 'E'));
    (!goes_on && after.len() < digits.len()).then_some(after)
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
        Value::Number(number) => number.to_string(),
        // No property the driver reads is a list; it is kept for the eye.
        nested @ (Value::Array(_) | Value::Object(_)) => nested.to_string(),
    }
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
    fn large_decimals_are_read_exactly() {
        for size in [1_018_692_586_180_295, 9_007_199_254_740_993, u64::MAX] {
            check(
                &format!("[{{\"size\":{size}.000000}}]"),
                &[("size", &size.to_string())],
            );
        }
        check(
            r#"[{"a":"1.000","b":1.000}]"#,
            &[("a", "1.000"), ("b", "1")],
        );
        check(
            r#"[{"a":"\"7.0","b":"\\","c":7.0}]"#,
            &[("a", "\"7.0"), ("b", "\\"), ("c", "7")],
        );
        check(r#"[{"a":10.50}]"#, &[("a", "10.5")]);
        for bad in ["[{\"a\":1.}]", "[{\"a\":.0}]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
