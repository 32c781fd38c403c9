//! The driver on real nodes: kubelets, containerd and runc in namespaces of this one machine, and the chart
//! installed by Helm with its default values, in a namespace that enforces the restricted Pod Security
//! Standard. It needs root.
//!
//! What is real: everything of Kubernetes, pods, probes, Secrets, containers, the network between nodes.
//! What is played: the RDS and the machines' NVMe (the simulator), and a node plugin's registration.
//! Nobody stages on the nodes themselves, so a volume is attached and its pod waits.
//!
//! All tests share one cluster, one after the other in the order of [`TESTS`]; the last ones end it.

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

#[path = "nodes/install.rs"]
mod install;
#[path = "nodes/leader.rs"]
mod leader;
#[path = "nodes/leftovers.rs"]
mod leftovers;
#[path = "nodes/manual.rs"]
mod manual;
#[path = "nodes/suite.rs"]
mod suite;
#[path = "nodes/upgrade.rs"]
mod upgrade;
#[path = "nodes/volume.rs"]
mod volume;

use std::process::ExitCode;

suite::tests! {
    install::three_replicas_run_on_three_nodes_and_one_leads;
    install::the_test_of_the_chart_succeeds_on_every_node;
    install::a_claim_gets_a_volume_that_is_attached_where_its_pod_is_and_detached_after_it;
    leader::a_leader_whose_process_is_killed_leads_on_in_the_same_pod;
    leader::a_leader_whose_pod_is_deleted_hands_over;
    leader::a_leader_on_a_node_without_a_network_is_replaced;
    leader::a_leader_that_is_frozen_is_replaced_and_does_no_harm_when_it_wakes;
    leader::a_leader_leads_on_while_its_node_has_neither_kubelet_nor_containerd;
    upgrade::an_upgrade_and_a_rollback_under_load_fail_no_attach;
    leftovers::a_cluster_whose_owner_is_killed_can_be_removed_without_a_trace;
    install::an_uninstalled_driver_leaves_its_volumes_and_its_lease;
    manual::who_pastes_the_page_on_installing_gets_an_attached_volume;
}

fn main() -> ExitCode {
    if leftovers::is_wanted() {
        return leftovers::own_a_cluster();
    }
    suite::run(TESTS)
}
