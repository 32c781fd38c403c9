//! The admin endpoint over real sockets, and the subcommands that ask it.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails by panicking, in its helpers too"
)]

mod admin {
    mod answers;
    mod client;
    mod commands;
    mod fixture;
    mod patience;
}
