//! `rds-csi status`, `explain`, `drain` and `log-level` as an operator runs them: against a leader, a
//! follower, and with no replica at all; and what probes and SIGTERM get from real processes.

#![cfg(all(unix, feature = "sim"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "operator/drain.rs"]
mod drain;
#[path = "operator/explain.rs"]
mod explain;
#[path = "operator/log_level.rs"]
mod log_level;
#[path = "operator/rig.rs"]
mod rig;
#[path = "operator/status.rs"]
mod status;
