//! All objects, the one version counter over them, and as much of the past as is remembered.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::kind::Kind;
use super::object;
use super::refusal::Refusal;

/// Namespace (empty for cluster-wide kinds) and name: the order in which lists are served.
pub(super) type Key = (String, String);

type Objects = BTreeMap<Key, Arc<Stored>>;

/// An object as it is kept: the text that is served, and what has to be known without reading it.
/// Ten thousand VolumeAttachments, with the change that made each, take 18 MiB this way.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) text: Bytes,
    pub(super) labels: BTreeMap<String, String>,
}

/// One step of the past of one object.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    /// Before the step; `None` for a new object.
    pub(super) before: Option<Arc<Stored>>,
    /// After it, or the last sight of an object that went.
    pub(super) object: Arc<Stored>,
    pub(super) removed: bool,
}

/// The objects of one resource.
#[derive(Debug, Default)]
struct Table {
    objects: Objects,
    changes: VecDeque<Change>,
    /// The newest version whose change is no longer remembered.
    forgotten: u64,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    history: usize,
    tables: BTreeMap<&'static str, Table>,
    empty: Table,
}

// === impl Store ===

impl Store {
    /// Nothing yet. `history` is how many changes are remembered for each resource.
    pub(super) fn new(history: usize) -> Self {
        Self {
            // A version of 0 means "any" in requests, so nothing ever has it.
            version: 1,
            history,
            tables: BTreeMap::new(),
            empty: Table::default(),
        }
    }

    /// The version of the last change of anything.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn table(&self, kind: &Kind) -> &Table {
        // Both versions of Event are views of the same objects, hence no group in the key.
        self.tables.get(kind.resource).unwrap_or(&self.empty)
    }

    pub(super) fn get(&self, kind: &Kind, key: &Key) -> Option<&Arc<Stored>> {
        self.table(kind).objects.get(key)
    }

    /// Writes an object, new or changed, under the next version, and returns it as stored.
    pub(super) fn put(&mut self, kind: &Kind, key: Key, value: Value) -> Arc<Stored> {
        let object = self.stamp(value);
        let history = self.history;
        let version = self.version;
        let table = self.tables.entry(kind.resource).or_default();
        let before = table.objects.insert(key.clone(), Arc::clone(&object));
        table.remember(
            Change {
                version,
                key,
                before,
                object: Arc::clone(&object),
                removed: false,
            },
            history,
        );
        object
    }

    /// Removes an object; `value` is the last sight of it that watches get.
    pub(super) fn remove(&mut self, kind: &Kind, key: &Key, value: Value) -> Arc<Stored> {
        let object = self.stamp(value);
        let history = self.history;
        let version = self.version;
        let table = self.tables.entry(kind.resource).or_default();
        let before = table.objects.remove(key);
        table.remember(
            Change {
                version,
                key: key.clone(),
                before,
                object: Arc::clone(&object),
                removed: true,
            },
            history,
        );
        object
    }

    fn stamp(&mut self, mut value: Value) -> Arc<Stored> {
        self.version += 1;
        object::set(&mut value, "resourceVersion", self.version.to_string());
        Arc::new(Stored {
            text: Bytes::from(value.to_string()),
            labels: object::labels(&value),
        })
    }

    /// All objects of a resource as they were at `version`, the current one without a copy.
    ///
    /// # Errors
    /// The past is forgotten, or the version is in the future.
    pub(super) fn at(&self, kind: &Kind, version: u64) -> Result<Cow<'_, Objects>, Refusal> {
        if version > self.version {
            return Err(Refusal::too_new(version, self.version));
        }
        let table = self.table(kind);
        if version < table.forgotten {
            return Err(Refusal::expired(version, table.forgotten));
        }
        let mut later = table
            .changes
            .iter()
            .rev()
            .take_while(|change| change.version > version)
            .peekable();
        if later.peek().is_none() {
            return Ok(Cow::Borrowed(&table.objects));
        }
        let mut objects = table.objects.clone();
        for change in later {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Ok(Cow::Owned(objects))
    }

    /// The changes after `version`, oldest first.
    ///
    /// # Errors
    /// Some of them are forgotten.
    pub(super) fn since(
        &self,
        kind: &Kind,
        version: u64,
    ) -> Result<impl Iterator<Item = &Change>, Refusal> {
        let table = self.table(kind);
        if version < table.forgotten {
            return Err(Refusal::expired(version, table.forgotten));
        }
        let first = table
            .changes
            .partition_point(|change| change.version <= version);
        Ok(table.changes.range(first..))
    }

    /// Forgets the past of everything, as a compaction of etcd does.
    pub(super) fn compact(&mut self) {
        for table in self.tables.values_mut() {
            table.trim(0);
        }
    }
}

// === impl Table ===

impl Table {
    fn remember(&mut self, change: Change, history: usize) {
        self.changes.push_back(change);
        self.trim(history);
    }

    fn trim(&mut self, history: usize) {
        while self.changes.len() > history {
            if let Some(change) = self.changes.pop_front() {
                self.forgotten = change.version;
            }
        }
    }
}
