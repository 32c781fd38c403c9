//! Election over the stand-in of the Kubernetes API: real HTTP, several candidates in one process.
#![cfg(feature = "sim")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails by panicking, in its helpers too"
)]

mod election {
    mod candidates;
    mod fixture;
    mod hands;
    mod lease;
    mod record;
    mod same_pod;
    mod trouble;
}
