//! What sidecars did, for tests and the demo to look at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;

/// Entries that a slow reader may lag behind: ten for each of 400 attachments.
const CAPACITY: usize = 4_096;

/// Where sidecars note what they do. Clones are the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    entries: broadcast::Sender<Entry>,
}

/// One thing that a sidecar did.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// In which pod.
    pub pod: Arc<str>,
    /// What.
    pub what: What,
}

/// What a sidecar can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The process began.
    Started,
    /// Probe was answered.
    Probed {
        /// What it said.
        ready: bool,
    },
    /// ControllerPublishVolume was answered.
    Published(Call),
    /// ControllerUnpublishVolume was answered.
    Unpublished(Call),
    /// The attachments were compared with ListVolumes.
    Compared {
        /// How many are looked at again because of it; the name of what went wrong otherwise.
        repaired: Result<usize, String>,
    },
    /// The process ended.
    Ended {
        /// Why.
        why: String,
    },
}

/// A call for one attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The VolumeAttachment.
    pub attachment: String,
    /// How long it took.
    pub took: Duration,
    /// The error, if it was one.
    pub error: Option<String>,
}

/// How often a sidecar did what, over all its lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes begun.
    pub starts: u64,
    /// Processes ended by themselves.
    pub exits: u64,
    /// Probe, answered.
    pub probes: u64,
    /// ControllerPublishVolume, whatever the answer.
    pub publishes: u64,
    /// ControllerUnpublishVolume, whatever the answer.
    pub unpublishes: u64,
    /// Comparisons with ListVolumes, whatever the answer.
    pub comparisons: u64,
    /// Attachments that a comparison found to differ.
    pub repairs: u64,
    /// Answers of any of these that were errors.
    pub errors: u64,
}

/// Counts while it runs.
#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Counts>);

// === impl Journal ===

impl Default for Journal {
    fn default() -> Self {
        Self {
            entries: broadcast::Sender::new(CAPACITY),
        }
    }
}

impl Journal {
    /// Everything from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Entry> {
        self.entries.subscribe()
    }

    pub(super) fn note(&self, pod: &str, what: What) {
        tracing::debug!(pod, ?what, "attacher");
        let entry = Entry {
            at: Instant::now(),
            pod: pod.into(),
            what,
        };
        // Nobody listening is not an error.
        drop(self.entries.send(entry));
    }
}

// === impl Counter ===

impl Counter {
    pub(super) fn read(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, what: &What) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            What::Started => counts.starts += 1,
            What::Probed { .. } => counts.probes += 1,
            What::Published(call) => {
                counts.publishes += 1;
                counts.errors += u64::from(call.error.is_some());
            }
            What::Unpublished(call) => {
                counts.unpublishes += 1;
                counts.errors += u64::from(call.error.is_some());
            }
            What::Compared { repaired } => {
                counts.comparisons += 1;
                match repaired {
                    Ok(repaired) => counts.repairs += *repaired as u64,
                    Err(_) => counts.errors += 1,
                }
            }
            What::Ended { .. } => counts.exits += 1,
        }
    }
}
