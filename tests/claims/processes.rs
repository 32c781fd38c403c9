//! The same over processes: three replicas with their sidecars, and a leader that is killed.

use rds_csi::sim::initiator::Written;
use rds_csi::workload::cluster::Blow;
use rds_csi::workload::placement::Volume;

use crate::rig::{HANG, POLL, Rig};

const A: &str = "node-a";
const B: &str = "node-b";
const C: &str = "node-c";

/// What external-attacher told the node; the machine connects with it.
async fn stage(rig: &Rig, volume: &Volume, node: &str) {
    let placement = rig.cluster.placement();
    let name = placement.attachment(volume, node);
    let told = placement.attached(&name, HANG).await.unwrap();
    let machine = rig.cluster.sim().machine(node);
    machine.stage(&told).unwrap();
    write(rig, volume, node);
}

#[track_caller]
fn write(rig: &Rig, volume: &Volume, node: &str) {
    let written = rig.cluster.sim().machine(node).write(&volume.handle);
    assert_eq!(written, Written::Done, "{node}\n{}", rig.logs());
}

/// Asks for a volume on a node, and waits until the attachment says that these nodes have it.
async fn refused(rig: &Rig, volume: &Volume, node: &str, holders: &[&str]) {
    let placement = rig.cluster.placement();
    let name = placement.attach(volume, node).await.unwrap();
    let wait = async {
        let mut ticks = tokio::time::interval(POLL);
        loop {
            ticks.tick().await;
            // While nobody leads, it says that.
            let why = placement.refused(&name, HANG).await.unwrap();
            if holders.iter().all(|holder| why.contains(holder)) {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(HANG, wait).await;
    waited.unwrap_or_else(|_| panic!("{node} is not refused\n{}", rig.logs()));
}

#[tokio::test]
async fn a_killed_leader_costs_no_session_and_its_successor_knows_who_has_what() {
    let mut rig = Rig::start().await;
    let leader = rig.leader().await;
    let one = rig.attach("one", A).await;
    stage(&rig, &one, A).await;
    let provisioner = rig.cluster.provisioner();
    let many = provisioner.create("many", 1 << 30, true, HANG).await;
    let many = many.unwrap();
    rig.cluster.placement().add_volume(&many).await.unwrap();
    for node in [A, B] {
        rig.attach_again(&many, node).await;
        stage(&rig, &many, node).await;
    }
    let sessions = rig.cluster.sim().world().sessions();

    rig.hit(&leader, Blow::Kill);
    refused(&rig, &one, B, &[A]).await;
    refused(&rig, &many, C, &[A, B]).await;
    assert_ne!(rig.leader().await, leader);
    assert_eq!(rig.cluster.sim().world().sessions(), sessions);

    // The migration ends under the new leader, and the third node gets the place.
    rig.detach(&many, A).await;
    stage(&rig, &many, C).await;
    write(&rig, &many, B);
    // The other volume moves, when its node has let go of it.
    rig.cluster.sim().machine(A).disconnect(&one.handle);
    rig.detach(&one, A).await;
    stage(&rig, &one, B).await;

    let world = rig.cluster.sim().world();
    for overlap in world.second_writers() {
        assert!(overlap.backing.contains(&many.handle), "{overlap:?}");
    }
    assert_eq!(world.replayed_writes(), []);
    rig.cluster.shutdown().await;
}

#[tokio::test]
async fn a_node_whose_machine_is_off_is_cut_off_by_whoever_leads() {
    let mut rig = Rig::start().await;
    let leader = rig.leader().await;
    let volume = rig.attach("v", A).await;
    stage(&rig, &volume, A).await;
    let machine = rig.cluster.sim().machine(A);
    machine.partition(true);
    machine.give_up_sessions();
    assert_eq!(machine.write(&volume.handle), Written::Queued);
    rig.hit(&leader, Blow::Kill);
    // Kubernetes detaches by force from a node that is tainted so.
    let placement = rig.cluster.placement();
    placement.taint_out_of_service(A).await.unwrap();
    rig.detach(&volume, A).await;
    rig.attach_again(&volume, B).await;
    stage(&rig, &volume, B).await;
    // It was not off.
    machine.partition(false);
    machine.notice();
    machine.reconnect_now();
    assert_eq!(machine.view().live_paths(), 0);
    write(&rig, &volume, B);
    rig.finish().await;
}
