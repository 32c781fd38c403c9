//! The contract of the Kubernetes API as this driver relies on it, driven through the real client.
//!
//! Without more it runs against the stand-in. With `RDS_CSI_TEST_KUBECONFIG` naming a kubeconfig
//! file, the tests of rules (not those of faults) run against that API server, in a namespace that
//! has to exist: `rds-csi-contract`.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions of a test crate that are not tests themselves"
)]

mod api_contract {
    mod access;
    mod caches;
    mod deletion;
    mod events;
    mod faults;
    mod fixture;
    mod leases;
    mod limits;
    mod lists;
    mod objects;
    mod status;
    mod watches;
}
