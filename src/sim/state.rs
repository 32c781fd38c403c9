//! What the device keeps over a reboot: disk entries, files, subvolumes and its name.

pub mod disk;
pub(crate) mod file;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sim::backing::{ALLOCATION_UNIT, Backing, SECTOR, Stamp, sector_of};
use crate::sim::state::disk::{Disk, Pool};
use crate::sim::state::file::{FileEntry, FileKind, Subvolume, parent, pool_of};
use crate::sim::texts::Failure;
use crate::sim::value::ItemId;

/// The whole configuration and file tree.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) identity: String,
    disks: BTreeMap<ItemId, Disk>,
    files: BTreeMap<String, FileEntry>,
    pub(crate) subvolumes: Vec<Subvolume>,
    last_id: u64,
    #[serde(skip)]
    index: Index,
}

/// Ways to an item that do not walk the tables.
#[derive(Debug, Clone, Default)]
struct Index {
    slots: BTreeMap<String, ItemId>,
    /// Subsystem names of entries that are served.
    exports: BTreeMap<String, ItemId>,
    /// Backing files of entries.
    backings: BTreeMap<String, ItemId>,
    files: BTreeMap<ItemId, String>,
    mounts: BTreeMap<String, ItemId>,
}

impl State {
    pub(crate) fn next_id(&mut self) -> ItemId {
        self.last_id += 1;
        ItemId(self.last_id)
    }

    /// Builds the indexes of a state that was loaded.
    pub(crate) fn reindex(&mut self) {
        self.index = Index::default();
        self.index.files = self
            .files
            .iter()
            .map(|(name, f)| (f.id, name.clone()))
            .collect();
        for (id, disk) in &self.disks {
            self.index.add(*id, disk);
        }
    }

    /// The disk entries and the identity, without files.
    pub(crate) fn configuration(&self) -> Self {
        let (identity, disks) = (self.identity.clone(), self.disks.clone());
        Self {
            identity,
            disks,
            ..Self::default()
        }
    }

    /// Replaces the disk entries by those of `older`; files and data stay as they are, as they do
    /// when RouterOS loads an older configuration. Ids handed out since are not used again.
    pub(crate) fn restore_disks(&mut self, older: &Self) {
        let used: BTreeMap<String, u64> = self
            .disks
            .values()
            .filter_map(|disk| disk.pool.as_ref())
            .map(|pool| (pool.mount_point.clone(), pool.used))
            .collect();
        self.disks = older.disks.clone();
        self.identity.clone_from(&older.identity);
        for pool in self
            .disks
            .values_mut()
            .filter_map(|disk| disk.pool.as_mut())
        {
            pool.used = used.get(&pool.mount_point).copied().unwrap_or(pool.used);
        }
        self.reindex();
    }
}

// === Disks ===

impl State {
    pub(crate) fn disk(&self, id: ItemId) -> Option<&Disk> {
        self.disks.get(&id)
    }

    pub(crate) fn disks(&self) -> impl Iterator<Item = (ItemId, &Disk)> {
        self.disks.iter().map(|(id, disk)| (*id, disk))
    }

    pub(crate) fn slot(&self, slot: &str) -> Option<ItemId> {
        self.index.slots.get(slot).copied()
    }

    /// Ids of the slots that begin with `prefix`, in the order of ids.
    pub(crate) fn slots_from(&self, prefix: &str) -> Vec<ItemId> {
        let range = self.index.slots.range(prefix.to_owned()..);
        let mut ids: Vec<ItemId> = range
            .take_while(|(slot, _)| slot.starts_with(prefix))
            .map(|(_, id)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }

    /// The entry that serves this subsystem name.
    pub(crate) fn export(&self, subsystem_nqn: &str) -> Option<ItemId> {
        self.index.exports.get(subsystem_nqn).copied()
    }

    /// The entry that uses this file.
    pub(crate) fn user_of(&self, name: &str) -> Option<ItemId> {
        self.index.backings.get(name).copied()
    }

    pub(crate) fn add_disk(&mut self, disk: Disk) -> ItemId {
        let id = self.next_id();
        self.index.add(id, &disk);
        self.disks.insert(id, disk);
        id
    }

    /// Puts a changed entry in the place of the old one.
    pub(crate) fn put_disk(&mut self, id: ItemId, disk: Disk) {
        if let Some(old) = self.disks.get(&id) {
            self.index.remove(id, old);
        }
        self.index.add(id, &disk);
        self.disks.insert(id, disk);
    }

    pub(crate) fn remove_disk(&mut self, id: ItemId) -> Option<Disk> {
        let disk = self.disks.remove(&id)?;
        self.index.remove(id, &disk);
        Some(disk)
    }

    /// The pool a file lies on.
    pub(crate) fn pool(&self, name: &str) -> Option<&Disk> {
        self.disks.get(self.index.mounts.get(pool_of(name))?)
    }

    fn pool_mut(&mut self, name: &str) -> Option<&mut Pool> {
        self.disks
            .get_mut(self.index.mounts.get(pool_of(name))?)?
            .pool
            .as_mut()
    }
}

// === Files ===

impl State {
    pub(crate) fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.get(name)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &FileEntry)> {
        self.files.iter().map(|(name, file)| (name.as_str(), file))
    }

    /// Files whose names begin with `prefix`.
    pub(crate) fn files_from<'s>(
        &'s self,
        prefix: &'s str,
    ) -> impl Iterator<Item = (&'s str, &'s FileEntry)> {
        let range = self.files.range(prefix.to_owned()..);
        range
            .map(|(name, f)| (name.as_str(), f))
            .take_while(move |(n, _)| n.starts_with(prefix))
    }

    pub(crate) fn file_name(&self, id: ItemId) -> Option<&str> {
        self.index.files.get(&id).map(String::as_str)
    }

    /// Adds a directory or the mount point of a pool.
    pub(crate) fn add_directory(&mut self, name: &str, kind: FileKind, now: u64) -> ItemId {
        let id = self.next_id();
        let blocks = BTreeMap::new();
        let entry = FileEntry {
            id,
            kind,
            size: 0,
            allocated: 0,
            modified: now,
            blocks,
        };
        self.put_file(name, entry);
        id
    }

    /// Makes an empty file of `size` bytes in an existing directory.
    pub(crate) fn add_file(
        &mut self,
        name: &str,
        size: u64,
        sparse: bool,
        now: u64,
    ) -> Result<(), Failure> {
        let directory = parent(name).and_then(|parent| self.files.get(parent));
        if directory.is_none_or(|entry| entry.kind == FileKind::File) {
            return Err(Failure::NoDirectory);
        }
        let allocated = if sparse { 0 } else { size };
        self.charge(name, 0, allocated)?;
        let (id, blocks) = (self.next_id(), BTreeMap::new());
        let kind = FileKind::File;
        self.put_file(
            name,
            FileEntry {
                id,
                kind,
                size,
                allocated,
                modified: now,
                blocks,
            },
        );
        Ok(())
    }

    /// Changes the length of a file; sectors beyond it are lost.
    pub(crate) fn resize_file(
        &mut self,
        name: &str,
        size: u64,
        sparse: bool,
        now: u64,
    ) -> Result<(), Failure> {
        let Some(file) = self.files.get(name) else {
            return Ok(());
        };
        let (before, after) = (file.allocated, if sparse { file.allocated } else { size });
        self.charge(name, before, after)?;
        if let Some(file) = self.files.get_mut(name) {
            (file.size, file.allocated, file.modified) = (size, after, now);
            file.blocks.split_off(&size);
        }
        Ok(())
    }

    /// Moves a file's share of its pool from `before` to `after` bytes.
    fn charge(&mut self, name: &str, before: u64, after: u64) -> Result<(), Failure> {
        let free = self.pool(name).and_then(Disk::free);
        if free.is_some_and(|free| after.saturating_sub(before) > free) {
            return Err(Failure::NoSpace);
        }
        if let Some(pool) = self.pool_mut(name) {
            pool.used = (pool.used + after).saturating_sub(before);
        }
        Ok(())
    }

    pub(crate) fn put_file(&mut self, name: &str, entry: FileEntry) {
        self.index.files.insert(entry.id, name.to_owned());
        self.files.insert(name.to_owned(), entry);
    }

    /// Takes a file, or a directory with all in it, out of the tree and gives its space back.
    pub(crate) fn remove_file(&mut self, name: &str) -> Option<FileEntry> {
        let entry = self.files.get(name)?.clone();
        let below = format!("{name}/");
        let mut gone: Vec<String> = self.files_from(&below).map(|(n, _)| n.to_owned()).collect();
        gone.push(name.to_owned());
        for name in gone {
            let Some(file) = self.files.remove(&name) else {
                continue;
            };
            self.index.files.remove(&file.id);
            if let Some(pool) = self.pool_mut(&name) {
                pool.used = pool.used.saturating_sub(file.allocated);
            }
        }
        Some(entry)
    }

    /// Gives `to` the contents of `from`, as far as they are kept in memory.
    pub(crate) fn copy_blocks(&mut self, from: &str, to: &str, now: u64) {
        let Some(source) = self.files.get(from) else {
            return;
        };
        let (blocks, allocated) = (source.blocks.clone(), source.allocated);
        let Some(target) = self.files.get_mut(to) else {
            return;
        };
        let before = target.allocated;
        (target.blocks, target.modified) = (blocks, now);
        target.allocated = before.max(allocated);
        let after = target.allocated;
        if let Some(pool) = self.pool_mut(to) {
            pool.used = (pool.used + after).saturating_sub(before);
        }
    }
}

// === Data ===

impl State {
    /// Puts a stamp into a backing file. A file that is gone takes writes like an unlinked inode:
    /// they succeed and nobody can read them by name.
    pub(crate) fn write(&mut self, backing: &Backing, name: &str, offset: u64, stamp: Stamp) {
        let Some(file) = self.files.get_mut(name) else {
            return;
        };
        let (sector, before) = (sector_of(offset), file.allocated);
        if backing.is_memory() {
            if file.blocks.insert(sector, stamp).is_none() && file.allocated < file.size {
                let room = ALLOCATION_UNIT.max(SECTOR);
                file.allocated = (file.allocated + room).min(file.size.max(room));
            }
        } else {
            match backing.write(name, sector, &stamp) {
                Ok(occupied) => file.allocated = file.allocated.max(occupied),
                Err(error) => tracing::error!(file = name, %error, "backing file write failed"),
            }
        }
        let after = file.allocated;
        if let Some(pool) = self.pool_mut(name) {
            pool.used = (pool.used + after).saturating_sub(before);
        }
    }

    /// The last stamp written at `offset`.
    pub(crate) fn read(&self, backing: &Backing, name: &str, offset: u64) -> Option<Stamp> {
        let (file, sector) = (self.files.get(name)?, sector_of(offset));
        if backing.is_memory() {
            return file.blocks.get(&sector).cloned();
        }
        backing.read(name, sector).unwrap_or_else(|error| {
            tracing::error!(file = name, %error, "backing file read failed");
            None
        })
    }
}

// === impl Index ===

impl Index {
    fn add(&mut self, id: ItemId, disk: &Disk) {
        self.slots.insert(disk.slot.clone(), id);
        self.backings.insert(disk.backing().to_owned(), id);
        if disk.is_served() {
            self.exports.insert(disk.subsystem_nqn.clone(), id);
        }
        if let Some(pool) = &disk.pool {
            self.mounts.insert(pool.mount_point.clone(), id);
        }
    }

    fn remove(&mut self, id: ItemId, disk: &Disk) {
        let ours = |found: Option<&ItemId>| found == Some(&id);
        if ours(self.slots.get(&disk.slot)) {
            self.slots.remove(&disk.slot);
        }
        if ours(self.backings.get(disk.backing())) {
            self.backings.remove(disk.backing());
        }
        if ours(self.exports.get(&disk.subsystem_nqn)) {
            self.exports.remove(&disk.subsystem_nqn);
        }
        if let Some(pool) = disk
            .pool
            .as_ref()
            .filter(|p| ours(self.mounts.get(&p.mount_point)))
        {
            self.mounts.remove(&pool.mount_point);
        }
    }
}
