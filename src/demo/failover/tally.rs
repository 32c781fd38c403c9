//! What has happened so far, as everybody who takes part notes it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// More are counted and not kept: the first ones tell what went wrong.
const VIOLATIONS_KEPT: usize = 20;

/// The account. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<Mutex<Sums>>);

/// What it comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Volumes that arrived on a node, and how long the attach took at the longest.
    pub(super) attaches: u64,
    pub(super) slowest_attach: Duration,
    /// Writes that a machine was told have arrived.
    pub(super) writes: u64,
    /// Writes that were left in the queue of a machine that was cut off.
    pub(super) queued: u64,
    /// What is not as it must be.
    pub(super) violations: Vec<String>,
    /// What people are to be told next.
    pub(super) news: VecDeque<String>,
}

/// One failover.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failover {
    /// The signal that the leader got.
    pub(super) kind: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    /// The epoch of the new leader.
    pub(super) epoch: Option<u64>,
    /// Milliseconds from the signal to the first Probe that said ready.
    pub(super) ms_to_ready: u64,
    /// Milliseconds from the signal to the first ControllerPublishVolume that the new leader
    /// answered OK.
    pub(super) ms_to_first_publish: u64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn read(&self) -> Sums {
        self.lock().clone()
    }

    pub(super) fn attached(&self, took: Duration) {
        let mut sums = self.lock();
        sums.attaches += 1;
        sums.slowest_attach = sums.slowest_attach.max(took);
    }

    pub(super) fn wrote(&self) {
        self.lock().writes += 1;
    }

    pub(super) fn left_queued(&self, writes: u64) {
        self.lock().queued += writes;
    }

    pub(super) fn violation(&self, what: impl Into<String>) {
        let mut sums = self.lock();
        if sums.violations.len() < VIOLATIONS_KEPT {
            sums.violations.push(what.into());
        }
    }

    /// Something to tell people; programs do not read it.
    pub(super) fn tell(&self, what: impl Into<String>) {
        self.lock().news.push_back(what.into());
    }

    pub(super) fn next_news(&self) -> Option<String> {
        self.lock().news.pop_front()
    }

    pub(super) fn is_clean(&self) -> bool {
        self.lock().violations.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
