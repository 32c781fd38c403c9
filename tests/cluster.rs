//! What Kubernetes says about our volumes, over the stand-in of its API: real HTTP, pages, watches,
//! refusals.
#![cfg(feature = "sim")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails by panicking, in its helpers too"
)]

mod cluster {
    mod claims;
    mod fixture;
    mod mirror;
    mod nodes;
    mod remake;
    mod scale;
    mod survey;
    mod trouble;
}
