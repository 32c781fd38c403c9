//! The contract of the Kubernetes API as this driver relies on it, driven through the real client.
//!
//! Each rule is run on the stand-in (`stand_in::...`) and on a real API server (`real::...`) that is
//! started for it, so that the stand-in can be trusted elsewhere; what only the stand-in can be made
//! to do, faults above all, is tested on it alone. With `RDS_CSI_TEST_KUBECONFIG` naming a kubeconfig
//! file, that server takes the place of the real one; the tests work in a namespace of their own,
//! `rds-csi-contract`, and leave what they made.
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
    mod grants;
    mod leases;
    mod limits;
    mod lists;
    mod objects;
    mod servers;
    mod status;
    pub(crate) mod suite;
    mod watches;
}

fn main() -> std::process::ExitCode {
    api_contract::suite::main()
}
