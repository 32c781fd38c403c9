//! The SSH transport against a scripted SSH server: what it accepts, what it loses, how it recovers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

mod device;
mod exec;
mod handshake;
mod pool;
mod setup;
#[path = "../support/bed/witness.rs"]
mod witness;
