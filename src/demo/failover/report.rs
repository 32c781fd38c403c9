//! What the demo came to: one JSON object for programs.

use std::time::Duration;

use serde::Serialize;

use super::director::Director;
use super::tally::Failover;

/// Everything, as it is printed by `--json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Everything was as it must be, to the end.
    pub(super) ok: bool,
    /// Milliseconds for all of it.
    pub(super) ms: u64,
    pub(super) failovers: Vec<Failover>,
    /// Volumes that arrived on a node.
    pub(super) attaches: u64,
    pub(super) slowest_attach_ms: u64,
    /// Writes that a machine was told have arrived.
    pub(super) writes: u64,
    /// Writes that a machine still had when it lost the volume: none of them may ever arrive.
    pub(super) queued_writes: u64,
    /// Processes that were started again.
    pub(super) restarts: u64,
    pub(super) second_writers: usize,
    pub(super) replayed_writes: usize,
    pub(super) violations: Vec<String>,
}

// === impl Report ===

impl Report {
    pub(super) fn of(director: &Director, ok: bool) -> Self {
        let world = director.cluster.sim().world();
        let sums = director.tally.read();
        // Findings that were not kept are of either kind; one is as bad as the other.
        let beyond = usize::try_from(world.findings_dropped()).unwrap_or(usize::MAX);
        Self {
            ok: ok && sums.violations.is_empty(),
            ms: millis(director.began.elapsed()),
            failovers: director.failovers.clone(),
            attaches: sums.attaches,
            slowest_attach_ms: millis(sums.slowest_attach),
            writes: sums.writes,
            queued_writes: sums.queued,
            restarts: director.restarts,
            second_writers: world.second_writers().len().saturating_add(beyond),
            replayed_writes: world.replayed_writes().len(),
            violations: sums.violations,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
