//! Objects of one kind as a watch tells them: an informer.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// The objects by name. Clones show the same ones.
#[derive(Debug)]
pub(super) struct Cache<K> {
    objects: Arc<Mutex<BTreeMap<String, Arc<K>>>>,
    /// Whether everything has been listed once.
    listed: watch::Sender<bool>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self {
            objects: Arc::clone(&self.objects),
            listed: self.listed.clone(),
        }
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            objects: Arc::default(),
            listed: watch::Sender::new(false),
        }
    }
}

// === impl Cache ===

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    pub(super) fn get(&self, name: &str) -> Option<Arc<K>> {
        self.lock().get(name).map(Arc::clone)
    }

    pub(super) fn all(&self) -> Vec<Arc<K>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Returns when everything has been listed once.
    pub(super) async fn listed(&self) {
        let mut listed = self.listed.subscribe();
        // The sender lives as long as `self`.
        if listed.wait_for(|listed| *listed).await.is_err() {
            tracing::debug!("nobody lists any more");
        }
    }

    /// Follows the API for ever and tells of each change: the object before and after. After a
    /// failure it rests for `pause`, as client-go does, and lists again.
    pub(super) async fn follow<F>(self, api: Api<K>, pause: Duration, changed: F)
    where
        F: Fn(Option<&K>, Option<&K>),
    {
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
        let mut fresh = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => fresh.clear(),
                Ok(Event::InitApply(object)) => {
                    fresh.insert(object.name_any(), object);
                }
                Ok(Event::InitDone) => {
                    self.replace(std::mem::take(&mut fresh), &changed);
                    self.listed.send_replace(true);
                }
                Ok(Event::Apply(object)) => {
                    let name = object.name_any();
                    let object = Arc::new(object);
                    let before = self.lock().insert(name, Arc::clone(&object));
                    changed(before.as_deref(), Some(&object));
                }
                Ok(Event::Delete(object)) => {
                    self.lock().remove(&object.name_any());
                    changed(Some(&object), None);
                }
                Err(error) => {
                    tracing::debug!(%error, "a watch failed");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Takes a new list for the truth: what is not on it has gone.
    fn replace(&self, fresh: BTreeMap<String, K>, changed: impl Fn(Option<&K>, Option<&K>)) {
        let fresh: BTreeMap<String, Arc<K>> = fresh
            .into_iter()
            .map(|(name, object)| (name, Arc::new(object)))
            .collect();
        let before = std::mem::replace(&mut *self.lock(), fresh.clone());
        for (name, object) in &fresh {
            changed(before.get(name).map(AsRef::as_ref), Some(object));
        }
        for (name, object) in &before {
            if !fresh.contains_key(name) {
                changed(Some(object), None);
            }
        }
    }
}

impl<K> Cache<K> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<K>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
