//! Events are served in two forms, `v1` and `events.k8s.io/v1`; there is one set of them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::kind::Kind;
use super::object;
use super::refusal::Refusal;

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

/// Texts of an event with an `eventTime`: field, most bytes, and whether it may be empty.
const TEXTS: [(&str, usize, bool); 5] = [
    ("reportingComponent", 317, false),
    ("reportingInstance", 128, false),
    ("action", 128, false),
    ("reason", 128, false),
    ("message", 1024, true),
];

/// What stays as it is once an event is there, where it is changed in the newer form.
const FIXED: [&str; 13] = [
    "action",
    "count",
    "eventTime",
    "firstTimestamp",
    "involvedObject",
    "lastTimestamp",
    "message",
    "reason",
    "related",
    "reportingComponent",
    "reportingInstance",
    "source",
    "type",
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

/// # Errors
/// A new event lacks what the newer form demands.
pub(super) fn created(kind: &Kind, new: &Value) -> Result<(), Refusal> {
    if !is_newer_event(kind) {
        return Ok(());
    }
    let text = |field: &str| new.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("eventTime").is_empty() {
        return Err(refused(kind, new, "eventTime", "Required value"));
    }
    if !matches!(text("type"), "Normal" | "Warning") {
        return Err(refused(kind, new, "type", "Invalid value"));
    }
    if new.get("count").is_some() {
        return Err(refused(kind, new, "count", "needs to be unset"));
    }
    counted(kind, new)
}

/// # Errors
/// Something changed that the newer form keeps.
pub(super) fn changed(kind: &Kind, old: &Value, new: &Value) -> Result<(), Refusal> {
    if !is_newer_event(kind) {
        return Ok(());
    }
    if let Some(field) = FIXED.iter().find(|field| old.get(field) != new.get(field)) {
        let why = "Invalid value: field is immutable";
        return Err(refused(kind, new, field, why));
    }
    counted(kind, new)
}

/// # Errors
/// A text of an event is missing or too long, or it is in another namespace than what it is about.
pub(super) fn sensible(kind: &Kind, new: &Value) -> Result<(), Refusal> {
    if kind.resource != "events" || new.get("eventTime").is_none_or(Value::is_null) {
        return Ok(());
    }
    for (field, most, may_be_empty) in TEXTS {
        let text = new.get(field).and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() && !may_be_empty {
            return Err(refused(kind, new, field, "Required value"));
        }
        if text.len() > most {
            let why = format!("Invalid value: can have at most {most} characters");
            return Err(refused(kind, new, field, &why));
        }
    }
    let about = new.pointer("/involvedObject/namespace");
    let nowhere = about.and_then(Value::as_str).is_none_or(str::is_empty);
    let namespace = object::text(new, "namespace").unwrap_or_default();
    if nowhere && !matches!(namespace, "default" | "kube-system") {
        let why = "Invalid value: does not match event.namespace";
        return Err(refused(kind, new, "involvedObject.namespace", why));
    }
    Ok(())
}

/// One that happened once has no series.
fn counted(kind: &Kind, new: &Value) -> Result<(), Refusal> {
    let count = new.pointer("/series/count").and_then(Value::as_i64);
    if count.is_some_and(|count| count < 2) {
        let why = "Invalid value: should be at least 2";
        return Err(refused(kind, new, "series.count", why));
    }
    Ok(())
}

fn refused(kind: &Kind, event: &Value, field: &str, why: &str) -> Refusal {
    let name = object::text(event, "name").unwrap_or_default();
    Refusal::invalid(kind, name, field, why)
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
