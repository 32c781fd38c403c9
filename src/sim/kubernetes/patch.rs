//! The two kinds of patches this project sends: JSON merge patch (RFC 7396) and JSON patch (RFC 6902).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Applies a merge patch: objects are merged, null removes, anything else replaces.
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else {
        return;
    };
    for (field, value) in patch {
        if value.is_null() {
            target.remove(&field);
        } else {
            merge(target.entry(field).or_insert(Value::Null), value);
        }
    }
}

/// One step of a JSON patch.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Step {
    Add { path: String, value: Value },
    Remove { path: String },
    Replace { path: String, value: Value },
    Move { from: String, path: String },
    Copy { from: String, path: String },
    Test { path: String, value: Value },
}

/// Applies a JSON patch: every step in order.
///
/// # Errors
/// 400 for what is not a JSON patch, 422 for a step that cannot be done, a failed `test` among them.
pub(super) fn steps(target: &mut Value, patch: Value) -> Result<(), Refusal> {
    let steps: Vec<Step> = serde_json::from_value(patch)
        .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
    for step in steps {
        apply(target, &step).ok_or_else(|| {
            let message =
                format!("the server rejected our request due to an error in it: {step:?}");
            Refusal::new(422, "Invalid", message)
        })?;
    }
    Ok(())
}

fn apply(target: &mut Value, step: &Step) -> Option<()> {
    match step {
        Step::Add { path, value } => add(target, path, value.clone()),
        Step::Remove { path } => remove(target, path).map(|_| ()),
        Step::Replace { path, value } => {
            *target.pointer_mut(path)? = value.clone();
            Some(())
        }
        Step::Move { from, path } => {
            let value = remove(target, from)?;
            add(target, path, value)
        }
        Step::Copy { from, path } => {
            let value = target.pointer(from)?.clone();
            add(target, path, value)
        }
        Step::Test { path, value } => (target.pointer(path)? == value).then_some(()),
    }
}

/// The parent of a path, and the last part of it with its escapes undone.
fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Some((target.pointer_mut(parent)?, last))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    match parent(target, path)? {
        (Value::Object(object), field) => {
            object.insert(field, value);
        }
        (Value::Array(list), index) => {
            let at = if index == "-" {
                list.len()
            } else {
                index.parse().ok().filter(|at| *at <= list.len())?
            };
            list.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    match parent(target, path)? {
        (Value::Object(object), field) => object.remove(&field),
        (Value::Array(list), index) => {
            let at = index.parse().ok().filter(|at| *at < list.len())?;
            Some(list.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patches_do_what_rfc_7396_shows() {
        for (target, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b"}), json!({"a":"b"})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, expected, "{patch} over {target}");
        }
    }

    #[test]
    fn json_patches_do_what_rfc_6902_shows() {
        let before = json!({"a": {"b/c": 1}, "list": [1, 2]});
        for (patch, expected) in [
            (
                json!([{"op":"add","path":"/x","value":1}]),
                Ok(json!({"a": {"b/c": 1}, "list": [1, 2], "x": 1})),
            ),
            (
                json!([{"op":"add","path":"/list/1","value":9},{"op":"add","path":"/list/-","value":8}]),
                Ok(json!({"a": {"b/c": 1}, "list": [1, 9, 2, 8]})),
            ),
            (
                json!([{"op":"remove","path":"/a/b~1c"}]),
                Ok(json!({"a": {}, "list": [1, 2]})),
            ),
            (
                json!([{"op":"move","from":"/list","path":"/a/list"}]),
                Ok(json!({"a": {"b/c": 1, "list": [1, 2]}})),
            ),
            (
                json!([{"op":"copy","from":"/list/0","path":"/n"},{"op":"test","path":"/n","value":1}]),
                Ok(json!({"a": {"b/c": 1}, "list": [1, 2], "n": 1})),
            ),
            (
                json!([{"op":"replace","path":"/list/0","value":7}]),
                Ok(json!({"a": {"b/c": 1}, "list": [7, 2]})),
            ),
            (json!([{"op":"test","path":"/a","value":2}]), Err(422)),
            (json!([{"op":"remove","path":"/none"}]), Err(422)),
            (json!([{"op":"replace","path":"/none","value":1}]), Err(422)),
            (json!([{"op":"add","path":"/list/3","value":1}]), Err(422)),
            (json!([{"op":"jump","path":"/a"}]), Err(400)),
            (json!({"a": 1}), Err(400)),
        ] {
            let mut patched = before.clone();
            let outcome = steps(&mut patched, patch.clone())
                .map(|()| patched)
                .map_err(|refusal| refusal.code);
            assert_eq!(outcome, expected, "{patch}");
        }
    }
}
