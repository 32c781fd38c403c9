//! Bad input to every call, over a real socket: each mistake has its code and a word that names it,
//! and the RDS is byte for byte what it was before.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;
#[path = "bad_input/capabilities.rs"]
mod capabilities;
#[path = "bad_input/names.rs"]
mod names;
#[path = "bad_input/room.rs"]
mod room;
#[path = "bad_input/sizes.rs"]
mod sizes;
#[path = "support/socket.rs"]
mod socket;
