//! What the last reconcile passes found, for people: nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::id::VolumeId;
use crate::domain::leadership::BootTime;
use crate::domain::shard::Shard;

/// Something about a volume that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The volume.
    pub volume: VolumeId,
    /// What, in words.
    pub what: &'static str,
    /// Since when it has looked so.
    pub since: BootTime,
}

/// A volume that no PersistentVolume has. It is reported, and never deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The volume.
    pub volume: VolumeId,
    /// Exact bytes.
    pub size: u64,
    /// When its names were last written, in seconds since 1970 by the clock of a controller: no later
    /// than that anybody used it. `None` where its names do not say.
    pub since: Option<u64>,
}

/// Findings by the number of the shard.
#[derive(Debug, Default)]
pub(super) struct Drift(Mutex<BTreeMap<u8, Found>>);

/// What one pass over one shard found.
type Found = (Vec<Finding>, Vec<Orphan>);

// === impl Drift ===

impl Drift {
    /// What one pass over one shard found.
    pub(super) fn found(&self, shard: Shard, findings: Vec<Finding>, orphans: Vec<Orphan>) {
        self.lock().insert(shard.index(), (findings, orphans));
    }

    /// Nothing is known any more: another replica leads.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Everything, by shard and volume.
    pub(super) fn all(&self) -> (Vec<Finding>, Vec<Orphan>) {
        let shards = self.lock();
        let findings = shards.values().flat_map(|(findings, _)| findings.clone());
        let orphans = shards.values().flat_map(|(_, orphans)| orphans.clone());
        (findings.collect(), orphans.collect())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u8, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
