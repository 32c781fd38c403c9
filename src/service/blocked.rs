//! Volumes that are not served until a person or the reconciler has settled them, and why.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::error::{Error, Kind};
use crate::domain::id::VolumeId;

/// One row that cannot be resolved blocks its volume, not the others.
#[derive(Debug, Default)]
pub(super) struct Blocked(Mutex<HashMap<VolumeId, String>>);

// === impl Blocked ===

impl Blocked {
    /// What a take-over found; what was blocked before is settled or in here.
    pub(super) fn replace(&self, found: HashMap<VolumeId, String>) {
        *self.lock() = found;
    }

    /// It is settled.
    pub(super) fn clear(&self, id: &VolumeId) {
        self.lock().remove(id);
    }

    /// Refuses a volume that is blocked.
    ///
    /// # Errors
    /// `Unavailable`, with the reason.
    pub(super) fn check(&self, id: &VolumeId) -> Result<(), Error> {
        match self.lock().get(id) {
            None => Ok(()),
            Some(why) => Err(Error::new(
                Kind::Unavailable,
                format!("volume {id} is not served until this is settled: {why}"),
            )),
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<(VolumeId, String)> {
        let mut all: Vec<_> = self.lock().clone().into_iter().collect();
        all.sort();
        all
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
