//! Rows of one kind, by name and by what else they are looked up by.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::k8s::cluster::row::Row;

/// What a watch has shown of one kind.
#[derive(Debug)]
pub(super) struct Kept<R> {
    current: Table<R>,
    /// A list under way; what was known before answers until it is done.
    fresh: Option<Table<R>>,
    whole: bool,
}

#[derive(Debug)]
struct Table<R> {
    names: HashSet<Named<R>>,
    keys: HashMap<Box<str>, Vec<Arc<R>>>,
}

/// Hashes and compares as its name, which is thus kept once.
#[derive(Debug)]
struct Named<R>(Arc<R>);

/// What happened to the objects of one kind.
#[derive(Debug)]
pub(super) enum Change<R> {
    /// A list begins.
    Begin,
    /// The list has this one.
    Listed(R),
    /// The list is done: what it did not have is gone.
    Done,
    /// New, or changed.
    Put(R),
    /// Gone, or no longer one of ours.
    Remove(String),
    /// Nothing of ours.
    Nothing,
}

// === impl Named ===

impl<R: Row> Hash for Named<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl<R: Row> PartialEq for Named<R> {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl<R: Row> Eq for Named<R> {}

impl<R: Row> Borrow<str> for Named<R> {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

// === impl Kept ===

impl<R> Default for Kept<R> {
    fn default() -> Self {
        Self {
            current: Table::default(),
            fresh: None,
            whole: false,
        }
    }
}

impl<R: Row + PartialEq> Kept<R> {
    pub(super) fn apply(&mut self, change: Change<R>) {
        match change {
            Change::Begin => self.fresh = Some(Table::default()),
            Change::Listed(row) => {
                // Most rows of a second list are those of the first: one copy is enough.
                let known = self.current.get(row.name());
                let row = match known {
                    Some(known) if **known == row => Arc::clone(known),
                    Some(_) | None => Arc::new(row),
                };
                self.fresh.get_or_insert_default().put(row);
            }
            Change::Done => {
                self.current = self.fresh.take().unwrap_or_default();
                self.whole = true;
            }
            Change::Put(row) => self.current.put(Arc::new(row)),
            Change::Remove(name) => self.current.remove(&name),
            Change::Nothing => {}
        }
    }

    /// Whether everything has been listed at least once.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn len(&self) -> usize {
        self.current.names.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<R>> {
        self.current.get(name)
    }

    /// The rows with this key.
    pub(super) fn by_key(&self, key: &str) -> &[Arc<R>] {
        self.current.keys.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<R>> {
        self.current.names.iter().map(|named| &named.0)
    }
}

// === impl Table ===

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self {
            names: HashSet::new(),
            keys: HashMap::new(),
        }
    }
}

impl<R: Row> Table<R> {
    fn get(&self, name: &str) -> Option<&Arc<R>> {
        self.names.get(name).map(|named| &named.0)
    }

    fn put(&mut self, row: Arc<R>) {
        self.remove(row.name());
        if let Some(key) = row.key() {
            match self.keys.get_mut(key) {
                Some(rows) => rows.push(Arc::clone(&row)),
                // Nearly always the only one: no room for more.
                None => {
                    self.keys.insert(key.into(), vec![Arc::clone(&row)]);
                }
            }
        }
        self.names.insert(Named(row));
    }

    fn remove(&mut self, name: &str) {
        let Some(Named(row)) = self.names.take(name) else {
            return;
        };
        let Some(key) = row.key() else { return };
        if let Some(rows) = self.keys.get_mut(key) {
            rows.retain(|other| !Arc::ptr_eq(other, &row));
            if rows.is_empty() {
                self.keys.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::cluster::row::CsiNodeRow;

    fn row(name: &str, id: &str) -> CsiNodeRow {
        CsiNodeRow {
            name: name.into(),
            node_id: id.into(),
        }
    }

    fn by_key(kept: &Kept<CsiNodeRow>, key: &str) -> Vec<String> {
        let mut names: Vec<String> = kept
            .by_key(key)
            .iter()
            .map(|row| row.name.to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_row_that_changed_or_went_is_found_under_no_old_key() {
        let mut kept = Kept::default();
        for change in [
            Change::Put(row("a", "1")),
            Change::Put(row("b", "1")),
            Change::Put(row("a", "2")),
        ] {
            kept.apply(change);
        }
        assert_eq!(by_key(&kept, "1"), ["b"]);
        assert_eq!(by_key(&kept, "2"), ["a"]);
        kept.apply(Change::Remove("b".to_owned()));
        kept.apply(Change::Remove("never there".to_owned()));
        assert_eq!(by_key(&kept, "1"), [""; 0]);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept.current.keys.len(), 1);
    }

    #[test]
    fn a_list_replaces_everything_but_only_when_it_is_done() {
        let mut kept = Kept::default();
        assert!(!kept.is_whole());
        kept.apply(Change::Begin);
        kept.apply(Change::Listed(row("a", "1")));
        kept.apply(Change::Listed(row("b", "2")));
        assert_eq!(kept.len(), 0);
        kept.apply(Change::Done);
        assert!(kept.is_whole());
        let before = Arc::clone(kept.get("b").unwrap());

        kept.apply(Change::Begin);
        kept.apply(Change::Listed(row("b", "2")));
        // A list that broke off begins again.
        kept.apply(Change::Begin);
        kept.apply(Change::Listed(row("c", "1")));
        kept.apply(Change::Listed(row("b", "2")));
        assert_eq!(by_key(&kept, "1"), ["a"]);
        kept.apply(Change::Done);
        assert_eq!(by_key(&kept, "1"), ["c"]);
        assert!(Arc::ptr_eq(&before, kept.get("b").unwrap()));
    }
}
