//! What goes wrong around the driver, and what it makes of it: restarts, restored configurations,
//! broken and endless replies, wrong keys, full pools, and objects that are not its own.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;
#[allow(
    dead_code,
    reason = "each test target uses its own part of the deposits"
)]
#[path = "support/deposit.rs"]
mod deposit;
#[path = "faults/foreign.rs"]
mod foreign;
#[path = "faults/remains.rs"]
mod remains;
#[path = "faults/replies.rs"]
mod replies;
#[path = "faults/restarts.rs"]
mod restarts;
#[path = "faults/restores.rs"]
mod restores;
#[path = "faults/start.rs"]
mod start;
#[path = "support/subject.rs"]
mod subject;
