//! Three replicas as processes, a simulated RDS, the API and the sidecars: what users see when
//! leaders end, freeze, or lose their way to either side.
//!
//! In every test machines write all the while, one volume moves without a pause, half of the time
//! without asking the node it leaves, and somebody calls every replica whatever its Probe says. At
//! the end of each, `Rig::finish`: the observer at the RDS saw no second writer and no replayed
//! write, no OK came from a replica that had no right to give one, and the volume that stayed where
//! it was could be written to all the time.

#![cfg(all(unix, feature = "sim"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "how long things took is worth seeing, and no reason to fail"
)]

#[path = "replicas/api.rs"]
mod api;
#[path = "replicas/cuts.rs"]
mod cuts;
#[path = "replicas/ending.rs"]
mod ending;
#[path = "replicas/follower.rs"]
mod follower;
#[path = "replicas/frozen.rs"]
mod frozen;
#[path = "replicas/judge.rs"]
mod judge;
#[path = "replicas/lease.rs"]
mod lease;
#[path = "replicas/machines.rs"]
mod machines;
#[path = "replicas/rig.rs"]
mod rig;
