//! Who shares a volume, in the order in which they came: it tells a migration's source from its
//! target. Known for this term only; who holds a volume is never decided by it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::claim::{Claim, Wish};
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

    /// Whether the node of a claim may be using the volume: it was told so, in this term or before, or
    /// nobody knows whether it has let go.
    pub(super) fn counts(&self, id: &VolumeId, claim: &Claim) -> bool {
        claim.attached || claim.wish == Wish::Detach || self.has(id, &claim.node)
    }

    /// A node has left. True if it was the first to come; `None` if it is known not to be there. Where
    /// nobody has come in this term, whoever leaves is taken for the first.
    pub(super) fn leave(&self, id: &VolumeId, node: &NodeId) -> Option<bool> {
        let mut shares = self.lock();
        let Some(nodes) = shares.get_mut(id) else {
            return Some(true);
        };
        let place = nodes.iter().position(|other| other == node)?;
        nodes.remove(place);
        Some(place == 0)
    }

    /// Nobody is left.
    pub(super) fn clear(&self, id: &VolumeId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeId, Vec<NodeId>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
