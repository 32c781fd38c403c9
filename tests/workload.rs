//! The stand-ins for external-attacher and kube-controller-manager, held to what the real ones were
//! seen to do, against the real driver as a process.

#![cfg(all(unix, feature = "sim"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "workload/attacher.rs"]
mod attacher;
#[path = "workload/cluster.rs"]
mod cluster;
#[allow(
    dead_code,
    reason = "not every target that includes this file needs all of it"
)]
#[path = "support/process.rs"]
mod process;
#[path = "workload/rig.rs"]
mod rig;
