//! A record as the device listed it: property names and raw values, whichever form it came in.

use crate::rds::error::{ReadError, excerpt};
use crate::rds::property;

/// The properties of one listed object, in the order of the device.
///
/// Versions of RouterOS differ in which properties they list and in what order, so nothing but the
/// properties asked for is looked at, and unknown ones are kept without complaint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    fields: Vec<(String, String)>,
}

impl Record {
    /// Adds a property; `false` and no change when it is there already.
    ///
    /// RouterOS lists a property once. A second one means that some text was taken for properties,
    /// and both readers refuse the record then.
    #[must_use]
    pub fn insert(&mut self, key: &str, value: String) -> bool {
        // A record has some 40 properties: a scan is as fast as a map and keeps the order.
        let fresh = self.get(key).is_none();
        if fresh {
            self.fields.push((key.to_owned(), value));
        }
        fresh
    }

    /// The raw value of a property.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// All properties in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Slot or name: what to call the record in an error.
    pub(super) fn label(&self) -> String {
        let named = self
            .get(property::SLOT)
            .or_else(|| self.get(property::NAME));
        excerpt(named.unwrap_or("without slot or name"))
    }

    pub(super) fn text(&self, key: &'static str) -> Result<&str, ReadError> {
        self.get(key).ok_or_else(|| ReadError::Missing {
            key,
            of: self.label(),
        })
    }

    /// A property that says nothing when empty.
    pub(super) fn nonempty(&self, key: &str) -> Option<String> {
        self.get(key)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    /// A count of bytes. Text listings group the digits by spaces.
    pub(super) fn number(&self, key: &'static str) -> Result<Option<u64>, ReadError> {
        self.parse(key, "a whole number", whole_number)
    }

    /// Text says `yes` and `no`, JSON says `true` and `false`.
    pub(super) fn boolean(&self, key: &'static str) -> Result<Option<bool>, ReadError> {
        self.parse(key, "yes or no", |value| match value {
            "yes" | "true" => Some(true),
            "no" | "false" => Some(false),
            _ => None,
        })
    }

    pub(super) fn parse<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        if let Some(parsed) = read(value) {
            return Ok(Some(parsed));
        }
        Err(ReadError::Value {
            key,
            of: self.label(),
            value: excerpt(value),
            expected,
        })
    }
}

/// Digits, in groups of three separated by spaces or not.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|&c| c != ' ').collect();
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_digits_are_one_number() {
        assert_eq!(whole_number("53 687 091 200"), Some(53_687_091_200));
        assert_eq!(whole_number("18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            " ",
            "18446744073709551616",
            "-1",
            "+1",
            "1.0",
            "50.0GiB",
            "1\t2",
        ] {
            assert_eq!(whole_number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_property_is_recorded_once() {
        let mut record = Record::default();
        assert!(record.insert("slot", "a".into()));
        assert!(!record.insert("slot", "b".into()));
        assert!(record.insert("slot-default", "c".into()));
        assert_eq!(
            record.fields().collect::<Vec<_>>(),
            [("slot", "a"), ("slot-default", "c")]
        );
    }
}
