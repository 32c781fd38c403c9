//! Waiting for objects: by watching, within a limit, and saying what was last seen.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event, watch_object, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::trouble::Trouble;

/// Between two attempts to watch, while the API is away. Five a second load nobody.
const AGAIN: Duration = Duration::from_millis(200);

/// Waits until an object is as wanted (`None`: there is no such object), and gives it.
///
/// # Errors
/// It did not come to be so within `limit`; says how it was in the end.
pub async fn until<K>(
    api: Api<K>,
    name: &str,
    what: &str,
    limit: Duration,
    is_it: impl Fn(Option<&K>) -> bool,
) -> Result<Option<K>, Trouble>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    let mut last: Option<K> = None;
    let watch = async {
        // On the heap: a watch is 20 kB, and tests wait inside of waits.
        let mut seen = watch_object(api, name).boxed();
        while let Some(object) = next(&mut seen).await {
            last = object;
            if is_it(last.as_ref()) {
                return true;
            }
        }
        false
    };
    match timeout(limit, watch).await {
        Ok(true) => Ok(last),
        _ => Err(late(name, what, limit, &last)),
    }
}

/// Waits until the objects of a selection are as wanted, and gives them.
///
/// # Errors
/// They did not come to be so within `limit`; says how they were in the end.
pub async fn until_all<K>(
    api: Api<K>,
    selection: watcher::Config,
    what: &str,
    limit: Duration,
    are_they: impl Fn(&[K]) -> bool,
) -> Result<Vec<K>, Trouble>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    let mut all: BTreeMap<(Option<String>, String), K> = BTreeMap::new();
    let watch = async {
        let mut listing = true;
        let mut events = watcher(api, selection).boxed();
        while let Some(event) = next(&mut events).await {
            match event {
                Event::Init => {
                    listing = true;
                    all.clear();
                }
                Event::InitApply(one) | Event::Apply(one) => {
                    all.insert((one.namespace(), one.name_any()), one);
                }
                Event::Delete(one) => drop(all.remove(&(one.namespace(), one.name_any()))),
                Event::InitDone => listing = false,
            }
            let now: Vec<K> = all.values().cloned().collect();
            if !listing && are_they(&now) {
                return Some(now);
            }
        }
        None
    };
    match timeout(limit, watch).await {
        Ok(Some(now)) => Ok(now),
        _ => Err(late(
            "objects",
            what,
            limit,
            &all.values().collect::<Vec<_>>(),
        )),
    }
}

/// The next good answer of a watch. It goes on after errors by itself: the API may be away for a
/// while, and that is for the limit to judge.
pub(crate) async fn next<T>(
    watch: &mut (impl Stream<Item = watcher::Result<T>> + Unpin),
) -> Option<T> {
    loop {
        match watch.next().await? {
            Ok(seen) => return Some(seen),
            Err(_) => sleep(AGAIN).await,
        }
    }
}

fn late(name: &str, what: &str, limit: Duration, last: &impl Serialize) -> Trouble {
    let last = serde_json::to_value(last).map(|mut last| {
        without_managers(&mut last);
        last.to_string()
    });
    let last = last.unwrap_or_else(|error| error.to_string());
    Trouble::found(format!(
        "{name} did not {what} within {limit:?}; last seen: {last}"
    ))
}

/// Who wrote which field is most of an object, and hides the rest.
fn without_managers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            fields.values_mut().for_each(without_managers);
        }
        Value::Array(values) => values.iter_mut().for_each(without_managers),
        _ => {}
    }
}
