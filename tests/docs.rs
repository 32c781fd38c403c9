//! The manual says what is: its commands can be typed, its flags and values exist, its reference is the
//! one that the code gives, and whatever the driver says to people has an entry in the runbook.

#![cfg(feature = "demo")]
#![allow(
    clippy::panic,
    reason = "a test that cannot read its input fails by panicking"
)]

#[path = "docs/codes.rs"]
mod codes;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/flags.rs"]
mod flags;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/runbook.rs"]
mod runbook;
#[path = "docs/shown.rs"]
mod shown;
#[path = "docs/typed.rs"]
mod typed;
#[path = "docs/values.rs"]
mod values;
