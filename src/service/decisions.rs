//! What was last decided about each volume, and in which trace that can be looked up.

use std::sync::{Mutex, PoisonError};

use moka::sync::Cache;

use crate::domain::grant::Register;
use crate::domain::id::VolumeId;
use crate::service::registers::Work;
use crate::telemetry::context;

/// Volumes whose last decision is kept, of about 250 bytes each: 1 MiB. Whoever asks does so about
/// what happened of late.
const KEPT: u64 = 4096;

/// What was decided about a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The volume.
    pub volume: VolumeId,
    /// By which operation: `publish`, `unpublish` or `mend`.
    pub operation: &'static str,
    /// What: `grant`, `held`, `revoke` and the like.
    pub decided: &'static str,
    /// When, in seconds since 1970.
    pub unix: u64,
    /// The trace in 32 hex digits, if there is one.
    pub trace: Option<String>,
}

/// The last decisions of this process.
#[derive(Debug)]
pub(super) struct Decisions {
    by_volume: Cache<VolumeId, Decision>,
    last: Mutex<Option<Decision>>,
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            by_volume: Cache::new(KEPT),
            last: Mutex::default(),
        }
    }
}

// === impl Decisions ===

impl Decisions {
    /// The last one about this volume.
    pub(super) fn about(&self, volume: &VolumeId) -> Option<Decision> {
        self.by_volume.get(volume)
    }

    /// The last one about any.
    pub(super) fn last(&self) -> Option<Decision> {
        self.lock().clone()
    }

    fn remember(&self, decision: Decision) {
        self.by_volume
            .insert(decision.volume.clone(), decision.clone());
        *self.lock() = Some(decision);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Decision>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// Puts a decision on record: for people who ask, and as a span of no length between the reads it
    /// rests on and the commands it leads to.
    pub(super) fn decided(
        &self,
        operation: &'static str,
        register: &Register,
        told: bool,
        decided: &'static str,
    ) {
        let span = tracing::info_span!(
            "decision",
            operation,
            register = register.as_str(),
            told,
            decided
        );
        span.in_scope(|| tracing::debug!("decided"));
        self.state.decisions.remember(Decision {
            volume: self.id.clone(),
            operation,
            decided,
            unix: self.state.clock.unix_seconds(),
            trace: context::trace_id(),
        });
    }
}
