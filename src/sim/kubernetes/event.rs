//! Events are served in two forms, `v1` and `events.k8s.io/v1`; there is one set of them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::kind::Kind;

/// The group of the newer form. Events are kept in the older one.
const NEWER: &str = "events.k8s.io";

/// Field names: older form, newer form.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn is_newer_event(kind: &Kind) -> bool {
    kind.group == NEWER
}

/// The form an object of this kind is kept in. Whatever the kind, the result has passed through its
/// type: see `Kind::typed`.
///
/// # Errors
/// It is not an object of this kind.
pub(super) fn stored_form(kind: &Kind, value: Value) -> Result<Value, serde_json::Error> {
    let mut value = (kind.typed)(value)?;
    if is_newer_event(kind) {
        for (older, newer) in NAMES {
            rename(&mut value, newer, older);
        }
        named(&mut value, "v1");
    }
    Ok(value)
}

/// The form in which this kind is served.
pub(super) fn served_form(kind: &Kind, mut value: Value) -> Value {
    if is_newer_event(kind) {
        for (older, newer) in NAMES {
            rename(&mut value, older, newer);
        }
        named(&mut value, &kind.api_version());
    }
    value
}

/// The same for the text of an object, which is not touched where both forms are one.
pub(super) fn served_text(kind: &Kind, text: &Bytes) -> Bytes {
    if !is_newer_event(kind) {
        return text.clone();
    }
    serde_json::from_slice(text).map_or_else(
        |_| text.clone(),
        |value| Bytes::from(served_form(kind, value).to_string()),
    )
}

fn rename(value: &mut Value, from: &str, to: &str) {
    if let Some(object) = value.as_object_mut()
        && let Some(field) = object.remove(from)
    {
        object.insert(to.to_owned(), field);
    }
}

fn named(value: &mut Value, api_version: &str) {
    if let Some(object) = value.as_object_mut() {
        object.insert("apiVersion".to_owned(), json!(api_version));
    }
}
