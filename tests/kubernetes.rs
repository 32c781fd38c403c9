//! The driver on Kubernetes: a real control plane, stock sidecars, three replicas as the chart has
//! them, nodes whose machines write to what they attach, and an observer at the RDS that counts
//! writers.
//!
//! A test is a function `async fn(&Bed) -> Result<(), Trouble>` in a file of `tests/kubernetes/`, and a
//! line in the list below. Each has a bed of its own, so that it may kill whom it likes; two run at a time.
//! What they measured and saw is printed at the end.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "what was measured and seen is worth reading when all went well, too"
)]

#[path = "kubernetes/lifecycle.rs"]
mod lifecycle;
#[path = "kubernetes/suite.rs"]
mod suite;

use std::process::ExitCode;

// A line for each test: its function, and after `=>` the bed's options if they are not the usual.
suite::tests! {
    lifecycle::a_pod_with_a_claim_gets_its_volume_and_gives_it_back;
}

fn main() -> ExitCode {
    suite::run(TESTS)
}
