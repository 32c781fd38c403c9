//! The driver on Kubernetes: a real control plane, stock sidecars, three replicas as the chart has
//! them, nodes whose machines write to what they attach, and an observer at the RDS that counts
//! writers.
//!
//! A test is a function `async fn(&Bed) -> Result<(), Trouble>` in a file of `tests/kubernetes/`, and a
//! line of [`TESTS`]. Each has a bed of its own, so that it may kill whom it likes; two run at a time.
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

#[path = "kubernetes/app.rs"]
mod app;
#[path = "kubernetes/conflict.rs"]
mod conflict;
#[path = "kubernetes/expand.rs"]
mod expand;
#[path = "kubernetes/late.rs"]
mod late;
#[path = "kubernetes/lifecycle.rs"]
mod lifecycle;
#[path = "kubernetes/moved.rs"]
mod moved;
#[path = "kubernetes/reconcile.rs"]
mod reconcile;
#[path = "kubernetes/rights.rs"]
mod rights;
#[path = "kubernetes/stale.rs"]
mod stale;
#[path = "kubernetes/suite.rs"]
mod suite;

use std::process::ExitCode;

use suite::{Test, test};

/// All tests; `test!(FUNCTION)`, or `test!(FUNCTION, OPTIONS)` with an expression for the bed's options.
const TESTS: &[Test] = &[
    test!(lifecycle::a_pod_with_a_claim_gets_its_volume_and_gives_it_back),
    test!(expand::a_volume_grows_while_its_node_writes),
    test!(
        conflict::a_second_node_is_refused_until_the_holder_lets_go,
        conflict::options()
    ),
    test!(
        reconcile::the_attacher_brings_back_what_was_edited_away,
        reconcile::by_attacher()
    ),
    test!(
        reconcile::the_reconciler_brings_back_what_was_edited_away,
        reconcile::by_driver()
    ),
    test!(late::a_late_unpublish_takes_nothing_from_a_node),
    test!(
        stale::a_deleted_node_gives_way_to_the_node_that_asks,
        stale::patient()
    ),
    test!(
        stale::a_deleted_node_is_cut_off_after_the_grace_period,
        stale::hasty()
    ),
    test!(stale::writes_held_by_a_node_out_of_service_never_land),
    test!(moved::a_stateful_set_leaves_a_dead_node_that_may_come_back),
    test!(
        rights::no_request_is_forbidden_and_no_right_is_unused,
        rights::options()
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
