//! The checks of content that this project relies on.

use serde_json::Value;

use super::event;
use super::kind::Kind;
use super::object;
use super::refusal::Refusal;

/// Names are at most this long: the limit of a DNS name.
const MAX_NAME: usize = 253;

/// etcd refuses a request larger than this; an object is one request.
const MAX_OBJECT: usize = 3 << 19;

/// Fields that must not be empty, by kind.
const REQUIRED: [(&str, &str, &str); 2] = [
    ("volumeattachments", "/spec/attacher", "spec.attacher"),
    ("volumeattachments", "/spec/nodeName", "spec.nodeName"),
];

/// Numbers and the least they may be. A Lease that is valid for no time at all is one of the ways to
/// have two leaders.
const LEAST: [(&str, &str, &str, i64); 2] = [
    (
        "leases",
        "/spec/leaseDurationSeconds",
        "spec.leaseDurationSeconds",
        1,
    ),
    (
        "leases",
        "/spec/leaseTransitions",
        "spec.leaseTransitions",
        0,
    ),
];

/// # Errors
/// The name is missing or not a DNS name in small letters.
pub(super) fn name(kind: &Kind, name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        let why = "Required value: name or generateName is required";
        return Err(Refusal::invalid(kind, name, "metadata.name", why));
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain);
    if fits {
        return Ok(());
    }
    let why = format!("Invalid value: \"{name}\": not a lowercase RFC 1123 subdomain");
    Err(Refusal::invalid(kind, name, "metadata.name", &why))
}

/// # Errors
/// The object lacks a field, a number is too small, or it is larger than etcd takes.
pub(super) fn object(kind: &Kind, new: &Value) -> Result<(), Refusal> {
    let name = object::text(new, "name").unwrap_or_default();
    for (_, path, field) in REQUIRED.iter().filter(|row| row.0 == kind.resource) {
        let value = new.pointer(path).and_then(Value::as_str);
        if value.is_none_or(str::is_empty) {
            return Err(Refusal::invalid(kind, name, field, "Required value"));
        }
    }
    for (_, path, field, least) in LEAST.iter().filter(|row| row.0 == kind.resource) {
        if let Some(value) = new.pointer(path).and_then(Value::as_i64)
            && value < *least
        {
            let why = format!("Invalid value: {value}: must be at least {least}");
            return Err(Refusal::invalid(kind, name, field, &why));
        }
    }
    event::sensible(kind, new)?;
    if new.to_string().len() > MAX_OBJECT {
        let message = "etcdserver: request is too large";
        return Err(Refusal::new(500, "InternalError", message));
    }
    Ok(())
}

/// # Errors
/// Something changed that cannot change.
pub(super) fn change(kind: &Kind, old: &Value, new: &Value) -> Result<(), Refusal> {
    let name = object::text(old, "name").unwrap_or_default();
    if kind.fixed_spec && old.get("spec") != new.get("spec") {
        let why = "Invalid value: field is immutable";
        return Err(Refusal::invalid(kind, name, "spec", why));
    }
    for field in object::OF_DELETION {
        if object::field(old, field) != object::field(new, field) {
            let why = "Invalid value: field is immutable";
            let field = format!("metadata.{field}");
            return Err(Refusal::invalid(kind, name, &field, why));
        }
    }
    let before = object::finalizers(old);
    if object::is_leaving(old)
        && let Some(added) = object::finalizers(new)
            .into_iter()
            .find(|finalizer| !before.contains(finalizer))
    {
        let why = format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizer {added:?}"
        );
        return Err(Refusal::invalid(kind, name, "metadata.finalizers", &why));
    }
    Ok(())
}
