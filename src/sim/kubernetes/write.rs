//! Writes: POST, PUT, PATCH and DELETE, with the rules that hold for every kind.

use bytes::Bytes;
use serde_json::{Value, json};

use super::event;
use super::kind::Kind;
use super::object;
use super::patch;
use super::refusal::Refusal;
use super::request::{Call, Target, Verb};
use super::store::{Key, Store};
use super::validate;

/// Metadata that only the server writes.
const OURS: [&str; 3] = ["uid", "creationTimestamp", "namespace"];

/// Metadata that this API does not keep. The real one fills in managedFields, which nobody reads.
const NOT_KEPT: [&str; 3] = ["managedFields", "selfLink", "generation"];

/// A request that was served: status code and body.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) code: u16,
    pub(super) body: Bytes,
}

/// Serves a writing call.
pub(super) fn serve(store: &mut Store, call: &Call, body: &[u8]) -> Result<Served, Refusal> {
    let served = match call.verb {
        Verb::Create => create(store, &call.target, parse(call, body)?)?,
        Verb::Update => update(store, &call.target, parse(call, body)?)?,
        Verb::Patch => patched(store, call, body)?,
        Verb::Delete => delete(store, &call.target, body)?,
        Verb::Get | Verb::List | Verb::Watch => return Err(Refusal::method()),
    };
    Ok(served)
}

/// Reads the body of a POST or PUT as an object of the kind in the path.
fn parse(call: &Call, body: &[u8]) -> Result<Value, Refusal> {
    if !matches!(call.media_type.as_str(), "application/json" | "") {
        return Err(Refusal::media_type(&call.media_type));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| undecoded(&error))?;
    let kind = call.target.kind;
    let api_version = kind.api_version();
    for (field, expected) in [("kind", kind.name), ("apiVersion", &api_version)] {
        let given = value.get(field).and_then(Value::as_str);
        if given.is_some_and(|given| given != expected) {
            let message = format!("{field} in the body is not {expected}");
            return Err(Refusal::bad_request(message));
        }
    }
    event::stored_form(kind, value).map_err(|error| undecoded(&error))
}

fn undecoded(error: &serde_json::Error) -> Refusal {
    Refusal::bad_request(format!("the object cannot be decoded: {error}"))
}

fn create(store: &mut Store, target: &Target, mut new: Value) -> Result<Served, Refusal> {
    let kind = target.kind;
    if object::text(&new, "resourceVersion").is_some() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Refusal::new(500, "InternalError", message));
    }
    check_namespace(target, &new)?;
    let name = match (
        object::text(&new, "name"),
        object::text(&new, "generateName"),
    ) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prefix)) => format!("{prefix}{}", object::random_suffix()),
        (None, None) => String::new(),
    };
    validate::name(kind, &name)?;
    let key = target.key(&name);
    object::drop_fields(&mut new, &object::OF_DELETION);
    object::drop_fields(&mut new, &NOT_KEPT);
    object::set(&mut new, "name", name.as_str());
    object::set(&mut new, "uid", object::new_uid());
    object::set(&mut new, "creationTimestamp", object::now());
    if let Some(namespace) = &target.namespace {
        object::set(&mut new, "namespace", namespace.as_str());
    }
    if let Some(initial) = kind.status.as_ref().and_then(|rules| rules.initial) {
        let initial = serde_json::from_str(initial).unwrap_or(Value::Null);
        object::copy(&mut new, &json!({"status": initial}), "status");
    }
    validate::object(kind, &new)?;
    event::created(kind, &new)?;
    if let Some(old) = load(store, kind, &key) {
        let leaving = object::is_leaving(&old);
        return Err(Refusal::already_exists(kind, &name, leaving));
    }
    Ok(put(store, kind, key, new, 201))
}

fn update(store: &mut Store, target: &Target, new: Value) -> Result<Served, Refusal> {
    let kind = target.kind;
    let name = target.name();
    let uid = object::text(&new, "uid").unwrap_or_default();
    let key = target.key(name);
    let Some(old) = load(store, kind, &key) else {
        if kind.put.creates && !target.status {
            if !uid.is_empty() {
                return Err(other_uid(kind, name, uid, ""));
            }
            check_name(target, &new)?;
            return create(store, target, new);
        }
        return Err(Refusal::not_found(kind, name));
    };
    let current = object::text(&old, "uid").unwrap_or_default();
    if !uid.is_empty() && uid != current {
        return Err(other_uid(kind, name, uid, current));
    }
    replace(store, target, &old, new)
}

/// A PUT is meant for the object with the UID in its body.
fn other_uid(kind: &Kind, name: &str, wanted: &str, found: &str) -> Refusal {
    let why =
        format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
    Refusal::conflict(kind, name, &why)
}

fn patched(store: &mut Store, call: &Call, body: &[u8]) -> Result<Served, Refusal> {
    let kind = call.target.kind;
    let name = call.target.name();
    let is_steps = match call.media_type.as_str() {
        "application/merge-patch+json" => false,
        "application/json-patch+json" => true,
        other => return Err(Refusal::media_type(other)),
    };
    let key = call.target.key(name);
    let old = load(store, kind, &key).ok_or_else(|| Refusal::not_found(kind, name))?;
    let patch: Value = serde_json::from_slice(body).map_err(|error| undecoded(&error))?;
    let mut new = event::served_form(kind, old.clone());
    if is_steps {
        patch::steps(&mut new, patch)?;
    } else {
        patch::merge(&mut new, patch);
    }
    let new = event::stored_form(kind, new).map_err(|error| undecoded(&error))?;
    if object::text(&new, "uid") != object::text(&old, "uid") {
        let why = "Invalid value: field is immutable";
        return Err(Refusal::invalid(kind, name, "metadata.uid", why));
    }
    replace(store, &call.target, &old, new)
}

/// Puts `new` in the place of `old`, as far as the request may.
fn replace(
    store: &mut Store,
    target: &Target,
    old: &Value,
    mut new: Value,
) -> Result<Served, Refusal> {
    let kind = target.kind;
    let name = target.name();
    check_name(target, &new)?;
    check_namespace(target, &new)?;
    match object::text(&new, "resourceVersion") {
        None if kind.put.unconditional => object::copy_fields(&mut new, old, &["resourceVersion"]),
        None => {
            let why = "Invalid value: 0: must be specified for an update";
            return Err(Refusal::invalid(
                kind,
                name,
                "metadata.resourceVersion",
                why,
            ));
        }
        given if given == object::text(old, "resourceVersion") => {}
        Some(_) => return Err(Refusal::stale(kind, name)),
    }
    object::copy_fields(&mut new, old, &OURS);
    object::keep_deletion(&mut new, old);
    object::drop_fields(&mut new, &NOT_KEPT);
    keep_other_part(target, old, &mut new);
    validate::object(kind, &new)?;
    validate::change(kind, old, &new)?;
    event::changed(kind, old, &new)?;
    let key = target.key(name);
    if new == *old {
        // A write that changes nothing is none: no new version, no event.
        let body = shown(kind, new);
        return Ok(Served { code: 200, body });
    }
    if object::is_leaving(old) && object::finalizers(&new).is_empty() {
        let last = store.remove(kind, &key, new);
        let body = event::served_text(kind, &last.text);
        return Ok(Served { code: 200, body });
    }
    Ok(put(store, kind, key, new, 200))
}

/// A write of an object cannot change its status, a write of its status nothing else.
fn keep_other_part(target: &Target, old: &Value, new: &mut Value) {
    let Some(rules) = &target.kind.status else {
        return;
    };
    if !target.status {
        object::copy(new, old, "status");
        return;
    }
    let status = json!({"status": new.get("status")});
    let metadata = json!({"metadata": new.get("metadata")});
    new.clone_from(old);
    object::copy(new, &status, "status");
    if !rules.keeps_metadata {
        object::copy(new, &metadata, "metadata");
    }
}

fn delete(store: &mut Store, target: &Target, body: &[u8]) -> Result<Served, Refusal> {
    let kind = target.kind;
    let name = target.name();
    let key = target.key(name);
    let mut old = load(store, kind, &key).ok_or_else(|| Refusal::not_found(kind, name))?;
    check_preconditions(kind, name, &old, body)?;
    if !object::finalizers(&old).is_empty() {
        if object::is_leaving(&old) {
            let body = shown(kind, old);
            return Ok(Served { code: 200, body });
        }
        object::set(&mut old, "deletionTimestamp", object::now());
        object::set(&mut old, "deletionGracePeriodSeconds", 0);
        return Ok(put(store, kind, key, old, 200));
    }
    let uid = object::text(&old, "uid").unwrap_or_default().to_owned();
    let last = store.remove(kind, &key, old);
    let body = if kind.returns_deleted {
        event::served_text(kind, &last.text)
    } else {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": name, "group": kind.group, "kind": kind.resource, "uid": uid},
        });
        Bytes::from(status.to_string())
    };
    Ok(Served { code: 200, body })
}

/// Compares `preconditions` of the DeleteOptions in the body, if there are any, with the object.
fn check_preconditions(kind: &Kind, name: &str, old: &Value, body: &[u8]) -> Result<(), Refusal> {
    if body.is_empty() {
        return Ok(());
    }
    let options: Value = serde_json::from_slice(body).map_err(|error| undecoded(&error))?;
    for field in ["uid", "resourceVersion"] {
        let wanted = options.pointer(&format!("/preconditions/{field}"));
        let found = object::text(old, field).unwrap_or_default();
        if let Some(wanted) = wanted.and_then(Value::as_str)
            && wanted != found
        {
            let why = format!(
                "the {field} in the precondition ({wanted}) is not that of the record ({found})"
            );
            return Err(Refusal::conflict(kind, name, &why));
        }
    }
    Ok(())
}

fn check_name(target: &Target, new: &Value) -> Result<(), Refusal> {
    let given = object::text(new, "name").unwrap_or_default();
    let expected = target.name();
    if given == expected {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({expected})"
    )))
}

fn check_namespace(target: &Target, new: &Value) -> Result<(), Refusal> {
    let given = object::text(new, "namespace");
    if given.is_none() || given == target.namespace.as_deref() {
        return Ok(());
    }
    let message =
        "the namespace of the provided object does not match the namespace sent on the request";
    Err(Refusal::bad_request(message))
}

fn load(store: &Store, kind: &Kind, key: &Key) -> Option<Value> {
    serde_json::from_slice(&store.get(kind, key)?.text).ok()
}

fn put(store: &mut Store, kind: &Kind, key: Key, new: Value, code: u16) -> Served {
    let stored = store.put(kind, key, new);
    let body = event::served_text(kind, &stored.text);
    Served { code, body }
}

fn shown(kind: &Kind, value: Value) -> Bytes {
    Bytes::from(event::served_form(kind, value).to_string())
}
