//! Reading and writing the metadata of an object that is still a tree.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

/// Metadata that only a DELETE writes.
pub(super) const OF_DELETION: [&str; 2] = ["deletionTimestamp", "deletionGracePeriodSeconds"];

/// A text in the metadata; `None` if it is absent or empty.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object
        .get("metadata")?
        .get(field)?
        .as_str()
        .filter(|text| !text.is_empty())
}

/// Writes one field of the metadata.
pub(super) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(metadata) = metadata(object) {
        metadata.insert(field.to_owned(), value.into());
    }
}

/// Removes fields of the metadata.
pub(super) fn drop_fields(object: &mut Value, fields: &[&str]) {
    if let Some(metadata) = metadata(object) {
        for field in fields {
            metadata.remove(*field);
        }
    }
}

/// Makes fields of the metadata what they are in `old`, absent ones too.
pub(super) fn copy_fields(object: &mut Value, old: &Value, fields: &[&str]) {
    for field in fields {
        match self::field(old, field) {
            Some(value) => set(object, field, value.clone()),
            None => drop_fields(object, &[field]),
        }
    }
}

/// A deletion that has begun stays, at the time it began: other times are passed over, and a term is
/// kept if none is given. What is changed all the same is refused later.
pub(super) fn keep_deletion(object: &mut Value, old: &Value) {
    let [time, term] = OF_DELETION;
    if is_leaving(old) {
        copy_fields(object, old, &[time]);
    }
    if field(object, term).is_none() {
        copy_fields(object, old, &[term]);
    }
}

/// A field of the metadata.
pub(super) fn field<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

/// Makes a field of the object itself what it is in `old`.
pub(super) fn copy(object: &mut Value, old: &Value, field: &str) {
    if let Some(object) = object.as_object_mut() {
        match old.get(field) {
            Some(value) => object.insert(field.to_owned(), value.clone()),
            None => object.remove(field),
        };
    }
}

fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object
        .as_object_mut()?
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
}

/// The finalizers, in order.
pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Whether somebody asked for its deletion.
pub(super) fn is_leaving(object: &Value) -> bool {
    text(object, "deletionTimestamp").is_some()
}

/// The labels.
pub(super) fn labels(object: &Value) -> BTreeMap<String, String> {
    object
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Now, as metadata writes times: whole seconds, UTC.
pub(super) fn now() -> Value {
    serde_json::to_value(Time(Timestamp::now())).unwrap_or_default()
}

/// A random UUID, version 4.
pub(super) fn new_uid() -> String {
    let bits = (rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let mut uid = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            uid.push('-');
        }
        uid.push(digit);
    }
    uid
}

/// What `generateName` appends: five characters without vowels, so that no words come out.
pub(super) fn random_suffix() -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5)
        .filter_map(|_| ALPHABET.get(rand::random_range(0..ALPHABET.len())))
        .map(|byte| char::from(*byte))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_a_random_uuid() {
        let uid = new_uid();
        let parts: Vec<usize> = uid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{uid}");
        assert_eq!(uid.as_bytes()[14], b'4', "{uid}");
        assert!(
            matches!(uid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
            "{uid}"
        );
        assert_ne!(uid, new_uid());
    }
}
