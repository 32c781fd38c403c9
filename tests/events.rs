//! Events as people find them with kubectl, over the stand-in of the Kubernetes API.
#![cfg(feature = "sim")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails by panicking, in its helpers too"
)]

mod events {
    mod fixture;
    mod kinds;
    mod repeats;
    mod trouble;
}
