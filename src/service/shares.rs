//! Who shares a volume, in the order in which they came: it tells a migration's source from its
//! target. Known for this term only; who holds a volume is never decided by it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::id::{NodeId, VolumeId};

/// The nodes of shared volumes.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<HashMap<VolumeId, Vec<NodeId>>>);

// === impl Shares ===

impl Shares {
    /// A node has come.
    pub(super) fn join(&self, id: &VolumeId, node: &NodeId) {
        let mut shares = self.lock();
        let nodes = shares.entry(id.clone()).or_default();
        if !nodes.contains(node) {
            nodes.push(node.clone());
        }
    }

    /// Whether a node is known to have come.
    pub(super) fn has(&self, id: &VolumeId, node: &NodeId) -> bool {
        let shares = self.lock();
        shares.get(id).is_some_and(|nodes| nodes.contains(node))
    }

    /// A node has left. True if others came after it, or nobody knows better: it was the source.
    pub(super) fn leave(&self, id: &VolumeId, node: &NodeId) -> bool {
        let mut shares = self.lock();
        let Some(nodes) = shares.get_mut(id) else {
            return true;
        };
        let was_first = nodes.first().is_none_or(|first| first == node);
        nodes.retain(|other| other != node);
        was_first
    }

    /// Nobody is left.
    pub(super) fn clear(&self, id: &VolumeId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeId, Vec<NodeId>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
