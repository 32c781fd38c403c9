//! One writer: whatever is late, lost, doubled or raced, a volume is never usable by two machines,
//! and no write of an earlier attachment lands after a later one began.
//!
//! What counts is what an observer at the RDS sees, sessions and accepted writes, and not what a
//! register says.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

#[path = "one_writer/ablations.rs"]
mod ablations;
#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;
#[allow(
    dead_code,
    reason = "each test target uses its own part of the deposits"
)]
#[path = "support/deposit.rs"]
mod deposit;
#[path = "one_writer/late.rs"]
mod late;
#[path = "one_writer/lost.rs"]
mod lost;
#[path = "one_writer/races.rs"]
mod races;
#[path = "one_writer/reopen.rs"]
mod reopen;
#[path = "one_writer/settle.rs"]
mod settle;
#[path = "support/subject.rs"]
mod subject;
