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
#![allow(
    clippy::large_futures,
    reason = "a test is one future, made once; a few dozen kilobytes cost nothing"
)]

#[path = "kubernetes/apiserver.rs"]
mod apiserver;
#[path = "kubernetes/app.rs"]
mod app;
#[path = "kubernetes/conflict.rs"]
mod conflict;
#[path = "kubernetes/crowd.rs"]
mod crowd;
#[path = "kubernetes/cuts.rs"]
mod cuts;
#[path = "kubernetes/expand.rs"]
mod expand;
#[path = "kubernetes/failover.rs"]
mod failover;
#[path = "kubernetes/gate.rs"]
mod gate;
#[path = "kubernetes/late.rs"]
mod late;
#[path = "kubernetes/leader.rs"]
mod leader;
#[path = "kubernetes/lifecycle.rs"]
mod lifecycle;
#[path = "kubernetes/moved.rs"]
mod moved;
#[path = "kubernetes/reconcile.rs"]
mod reconcile;
#[path = "kubernetes/rights.rs"]
mod rights;
#[path = "kubernetes/rolling.rs"]
mod rolling;
#[path = "kubernetes/sidecar.rs"]
mod sidecar;
#[path = "kubernetes/stale.rs"]
mod stale;
#[path = "kubernetes/suite.rs"]
mod suite;
#[path = "kubernetes/trace.rs"]
mod trace;

use std::process::ExitCode;

// A line for each test: its function, and after `=>` the bed's options if they are not the usual.
suite::tests! {
    lifecycle::a_pod_with_a_claim_gets_its_volume_and_gives_it_back;
    leader::a_leader_killed_in_the_middle_of_50_attaches_costs_no_pod_its_volume;
    leader::a_leader_killed_after_its_first_minute_leads_on_in_the_same_pod => leader::after_a_second();
    leader::a_leader_whose_pod_is_gone_in_the_middle_of_50_attaches_costs_no_pod_its_volume;
    leader::a_leader_whose_pod_is_deleted_in_the_middle_of_10_attaches_costs_no_pod_its_volume;
    leader::a_leader_frozen_in_the_middle_of_10_attaches_costs_no_pod_its_volume;
    cuts::a_leader_cut_off_from_the_rds_hands_over_and_attaches_go_on;
    cuts::a_leader_cut_off_from_the_api_is_replaced_and_attaches_go_on;
    rolling::a_rolling_restart_under_load_keeps_no_pod_waiting => app::three();
    sidecar::a_sidecar_killed_alone_is_started_again_and_its_leader_leads_on;
    gate::sidecars_of_followers_wait_through_failovers_of_every_kind => gate::soon_again();
    apiserver::an_api_server_that_crashes_costs_nobody_a_volume, alone;
    expand::a_volume_grows_while_its_node_writes => app::three();
    conflict::a_second_node_is_refused_until_the_holder_lets_go => conflict::options();
    reconcile::the_attacher_brings_back_what_was_edited_away => reconcile::by_attacher();
    reconcile::the_reconciler_brings_back_what_was_edited_away => reconcile::by_driver();
    late::a_late_unpublish_takes_nothing_from_a_node => app::three();
    stale::a_deleted_node_gives_way_to_the_node_that_asks => stale::patient();
    stale::a_deleted_node_is_cut_off_after_the_grace_period => stale::hasty();
    stale::writes_held_by_a_node_out_of_service_never_land => app::three();
    moved::a_stateful_set_leaves_a_dead_node_that_may_come_back => app::three();
    trace::jaeger_shows_an_attach_from_its_call_to_its_routeros_command => trace::traced();
    rights::no_request_is_forbidden_and_no_right_is_unused => rights::options();
}

fn main() -> ExitCode {
    suite::run(TESTS)
}
