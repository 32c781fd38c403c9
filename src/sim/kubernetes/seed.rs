//! The objects as tests see and place them: past HTTP, access, faults and most rules.

use std::sync::Arc;

use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kind::Kind;
use super::object;
use super::store::Key;
use super::{KubeApi, event};

/// An object cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// No kind of this API.
    #[error("this API does not serve {0}")]
    Kind(&'static str),
    /// It cannot be written as JSON.
    #[error("the object cannot be encoded")]
    Encode(#[from] serde_json::Error),
}

// === impl KubeApi ===

impl KubeApi {
    /// Puts an object in place exactly as given, status included, over one of the same name if
    /// there is one. UID and creation time are filled in where they are missing; watches see it.
    ///
    /// # Errors
    /// The kind is none of this API's.
    pub fn seed<K: Resource + Serialize>(&self, object: &K) -> Result<(), SeedError> {
        let value = serde_json::to_value(object)?;
        let kind = Kind::of(&value).ok_or(SeedError::Kind(K::KIND))?;
        let mut value = event::stored_form(kind, value)?;
        if object::text(&value, "uid").is_none() {
            object::set(&mut value, "uid", object::new_uid());
        }
        if object::text(&value, "creationTimestamp").is_none() {
            object::set(&mut value, "creationTimestamp", object::now());
        }
        let part = |field| object::text(&value, field).unwrap_or_default().to_owned();
        let key = (part("namespace"), part("name"));
        let shared = &self.inner.shared;
        let mut store = shared.store();
        store.put(kind, key, value);
        shared.announce(&store);
        drop(store);
        Ok(())
    }

    /// Removes an object whatever its finalizers say; `false` if there is none. `namespace` is empty
    /// for cluster-wide kinds.
    pub fn evict<K: Resource>(&self, namespace: &str, name: &str) -> bool {
        let Some(kind) = kind_of::<K>() else {
            return false;
        };
        let key: Key = (namespace.to_owned(), name.to_owned());
        let shared = &self.inner.shared;
        let mut store = shared.store();
        let Some(stored) = store.get(kind, &key).map(Arc::clone) else {
            return false;
        };
        let last: Value = serde_json::from_slice(&stored.text).unwrap_or_default();
        store.remove(kind, &key, last);
        shared.announce(&store);
        true
    }

    /// All objects of a kind, by namespace and name.
    pub fn objects<K: Resource + Metadata + DeserializeOwned>(&self) -> Vec<K> {
        let Some(kind) = kind_of::<K>() else {
            return Vec::new();
        };
        let store = self.inner.shared.store();
        let Ok(objects) = store.at(kind, store.version()) else {
            return Vec::new();
        };
        let texts = objects
            .values()
            .map(|stored| event::served_text(kind, &stored.text));
        // What is stored has passed through its type, so that it can be read as that.
        texts
            .filter_map(|text| serde_json::from_slice(&text).ok())
            .collect()
    }
}

fn kind_of<K: Resource>() -> Option<&'static Kind> {
    Kind::find(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT)
}
