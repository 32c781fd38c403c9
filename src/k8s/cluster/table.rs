//! Rows of one kind, by name and by what else they are looked up by.

use std::cmp::Ordering;
use std::mem;
use std::sync::Arc;

use crate::k8s::cluster::row::Row;

/// What a watch has shown of one kind.
#[derive(Debug)]
pub(super) struct Kept<R> {
    current: Table<R>,
    /// A list under way; what was known before answers until it is done.
    fresh: Vec<Arc<R>>,
    whole: bool,
}

/// Two sorted arrays of the same rows: 16 bytes for each row beside the row itself, where two maps
/// would need more than 200. A change moves a few hundred kilobytes at most, some microseconds.
#[derive(Debug)]
struct Table<R> {
    by_name: Vec<Arc<R>>,
    /// Those that have a key, by key and name.
    by_key: Vec<Arc<R>>,
}

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

// === impl Kept ===

impl<R> Default for Kept<R> {
    fn default() -> Self {
        Self {
            current: Table::default(),
            fresh: Vec::new(),
            whole: false,
        }
    }
}

impl<R: Row + PartialEq> Kept<R> {
    pub(super) fn apply(&mut self, change: Change<R>) {
        match change {
            Change::Begin => self.fresh.clear(),
            Change::Listed(row) => {
                // Most rows of a second list are those of the first: one copy is enough.
                let known = self.current.get(row.name());
                let row = match known {
                    Some(known) if **known == row => Arc::clone(known),
                    Some(_) | None => Arc::new(row),
                };
                self.fresh.push(row);
            }
            Change::Done => {
                self.current = Table::of(mem::take(&mut self.fresh));
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
        self.current.by_name.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<R>> {
        self.current.get(name)
    }

    /// The rows with this key, by name.
    pub(super) fn by_key(&self, key: &str) -> &[Arc<R>] {
        let rows = &self.current.by_key;
        let from = rows.partition_point(|row| row.key() < Some(key));
        let to = rows.partition_point(|row| row.key() <= Some(key));
        rows.get(from..to).unwrap_or_default()
    }

    /// All rows, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<R>> {
        self.current.by_name.iter()
    }
}

// === impl Table ===

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self {
            by_name: Vec::new(),
            by_key: Vec::new(),
        }
    }
}

impl<R: Row> Table<R> {
    fn of(mut rows: Vec<Arc<R>>) -> Self {
        rows.sort_by(|a, b| a.name().cmp(b.name()));
        // Of two with one name the later one counts; the sort has left them in order.
        rows.dedup_by(|later, earlier| {
            let same = later.name() == earlier.name();
            if same {
                mem::swap(later, earlier);
            }
            same
        });
        rows.shrink_to_fit();
        let mut by_key: Vec<_> = rows
            .iter()
            .filter(|row| row.key().is_some())
            .map(Arc::clone)
            .collect();
        by_key.sort_by(|a, b| order(&**a, &**b));
        Self {
            by_name: rows,
            by_key,
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|row| row.name().cmp(name))
    }

    fn get(&self, name: &str) -> Option<&Arc<R>> {
        self.by_name.get(self.find(name).ok()?)
    }

    fn put(&mut self, row: Arc<R>) {
        self.remove(row.name());
        if row.key().is_some()
            && let Err(at) = self.find_key(&row)
        {
            self.by_key.insert(at, Arc::clone(&row));
        }
        if let Err(at) = self.find(row.name()) {
            self.by_name.insert(at, row);
        }
    }

    fn remove(&mut self, name: &str) {
        let Ok(at) = self.find(name) else { return };
        let row = self.by_name.remove(at);
        if let Ok(at) = self.find_key(&row) {
            self.by_key.remove(at);
        }
    }

    fn find_key(&self, row: &R) -> Result<usize, usize> {
        self.by_key.binary_search_by(|other| order(&**other, row))
    }
}

fn order<R: Row>(a: &R, b: &R) -> Ordering {
    (a.key(), a.name()).cmp(&(b.key(), b.name()))
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
        let rows = kept.by_key(key).iter();
        rows.map(|row| row.name.to_string()).collect()
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
        assert_eq!(kept.current.by_key.len(), 1);
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
        kept.apply(Change::Listed(row("c", "0")));
        kept.apply(Change::Listed(row("b", "2")));
        kept.apply(Change::Listed(row("c", "1")));
        assert_eq!(by_key(&kept, "1"), ["a"]);
        kept.apply(Change::Done);
        assert_eq!(by_key(&kept, "1"), ["c"]);
        assert_eq!(by_key(&kept, "0"), [""; 0]);
        assert_eq!(kept.len(), 2);
        assert!(Arc::ptr_eq(&before, kept.get("b").unwrap()));
    }
}
