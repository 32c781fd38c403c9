//! Everything that rests on claims: what a leader makes of VolumeAttachments, nodes and registers that
//! do not fit together, whoever is to blame for that.
//!
//! What counts is what the observer at the RDS sees, sessions and accepted writes.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

#[path = "claims/asking.rs"]
mod asking;
#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;
#[path = "claims/by_hand.rs"]
mod by_hand;
#[allow(
    dead_code,
    reason = "each test target uses its own part of the deposits"
)]
#[path = "support/deposit.rs"]
mod deposit;
#[path = "claims/leader.rs"]
mod leader;
#[path = "claims/oddities.rs"]
mod oddities;
#[cfg(unix)]
#[path = "claims/processes.rs"]
mod processes;
#[path = "claims/queued.rs"]
mod queued;
#[path = "claims/restored.rs"]
mod restored;
#[cfg(unix)]
#[allow(dead_code, reason = "each test target uses its own part of the rig")]
#[path = "claims/rig.rs"]
mod rig;
#[path = "claims/scene.rs"]
mod scene;
#[path = "claims/share.rs"]
mod share;
#[path = "claims/successor.rs"]
mod successor;
#[path = "claims/takeover.rs"]
mod takeover;
#[path = "claims/town.rs"]
mod town;
