//! What a collector gets to see: whole traces of calls, of refusals and losses, of failovers; and what
//! calls get to feel of a collector that is not well, which is nothing.

#![cfg(all(unix, feature = "sim"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "traces/calls.rs"]
mod calls;
#[path = "support/collector.rs"]
mod collector;
#[path = "traces/failover.rs"]
mod failover;
#[path = "traces/joins.rs"]
mod joins;
#[path = "traces/propagation.rs"]
mod propagation;
#[path = "traces/rig.rs"]
mod rig;
#[path = "traces/tree.rs"]
mod tree;
#[path = "traces/trouble.rs"]
mod trouble;
