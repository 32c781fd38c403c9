//! The RDS comes back with an older configuration, as after a restored backup: grants that were
//! answered since come back, grants that were revoked since do not.

use rds_csi::domain::error::Kind;
use rds_csi::domain::id::VolumeId;
use rds_csi::ports::Backend as _;
use rds_csi::sim::initiator::Written;
use rds_csi::sim::transport::{Fault, Rule};

use crate::bed::{Bed, Context, Replica, until, within};

/// Restores, and waits until the controller has repaired what it found.
async fn restore(bed: &Bed, replica: &Replica, snapshot: usize) {
    let before = replica.backend.incarnation();
    bed.restore(snapshot);
    replica.reread(before).await;
}

/// Publishes to a node, connects and writes.
async fn attach(bed: &Bed, replica: &Replica, id: &VolumeId, node: &str) -> Context {
    let told = replica.publish(id, node).await.unwrap();
    bed.machine(node).stage(&told).unwrap();
    assert_eq!(bed.machine(node).write(id.as_str()), Written::Done);
    told
}

async fn detach(bed: &Bed, replica: &Replica, id: &VolumeId, node: &str) {
    bed.machine(node).disconnect(id.as_str());
    replica.unpublish(id, node).await.unwrap();
}

#[tokio::test]
async fn a_grant_that_the_rds_forgot_is_made_again_under_the_names_its_node_uses() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let free = bed.sim.snapshot();
    let told = attach(&bed, &replica, &id, "node-a").await;

    restore(&bed, &replica, free).await;
    let node = bed.machine("node-a");
    node.reconnect_now();
    assert_eq!(node.view().live_paths(), 1, "the node came back by itself");
    assert_eq!(node.write(id.as_str()), Written::Done);
    assert_eq!(replica.publish(&id, "node-a").await.unwrap(), told);
    let refused = replica.publish(&id, "node-b").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{refused}");
    bed.assert_one_writer("forgotten grant");
}

#[tokio::test]
async fn a_grant_that_was_revoked_since_is_revoked_again() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let old = attach(&bed, &replica, &id, "node-a").await;
    let granted = bed.sim.snapshot();
    detach(&bed, &replica, &id, "node-a").await;

    restore(&bed, &replica, granted).await;
    assert!(!bed.world().disk(id.as_str()).unwrap().exported);
    bed.machine("node-a").connect_only(&old).unwrap_err();
    assert_eq!(replica.holders(&id).await, Vec::<String>::new());
    attach(&bed, &replica, &id, "node-b").await;
    bed.assert_one_writer("stale grant");
}

#[tokio::test]
async fn an_old_holder_never_comes_back_in_the_place_of_the_one_that_was_told_since() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let old = attach(&bed, &replica, &id, "node-a").await;
    let granted = bed.sim.snapshot();
    detach(&bed, &replica, &id, "node-a").await;
    let told = attach(&bed, &replica, &id, "node-b").await;
    let content = bed.content(&id);

    restore(&bed, &replica, granted).await;
    bed.machine("node-a").connect_only(&old).unwrap_err();
    bed.machine("node-b").reconnect_now();
    assert_eq!(bed.machine("node-b").view().live_paths(), 1);
    assert_eq!(replica.publish(&id, "node-b").await.unwrap(), told);
    assert_eq!(bed.content(&id), content, "the bytes of node-b");
    bed.assert_one_writer("swapped grant");
}

#[tokio::test]
async fn an_old_grant_of_the_same_node_is_replaced_by_the_one_it_uses() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    attach(&bed, &replica, &id, "node-a").await;
    let granted = bed.sim.snapshot();
    detach(&bed, &replica, &id, "node-a").await;
    let told = attach(&bed, &replica, &id, "node-a").await;

    restore(&bed, &replica, granted).await;
    bed.machine("node-a").reconnect_now();
    assert_eq!(bed.machine("node-a").view().live_paths(), 1);
    assert_eq!(replica.publish(&id, "node-a").await.unwrap(), told);
    bed.assert_one_writer("same node");
}

#[tokio::test]
async fn a_volume_made_since_is_reported_missing_and_its_file_can_be_deleted() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let empty = bed.sim.snapshot();
    let id = replica.create("v").await.unwrap();
    restore(&bed, &replica, empty).await;
    let missing = replica.publish(&id, "node-a").await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound, "{missing}");
    replica.unpublish(&id, "node-a").await.unwrap();
    assert_eq!(bed.holdings().len(), 1, "the file is still there");
    replica.delete(&id).await.unwrap();
    assert_eq!(bed.holdings(), Vec::<String>::new());
}

#[tokio::test]
async fn a_volume_deleted_since_can_be_deleted_again_and_made_anew() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    attach(&bed, &replica, &id, "node-a").await;
    let granted = bed.sim.snapshot();
    detach(&bed, &replica, &id, "node-a").await;
    replica.delete(&id).await.unwrap();

    restore(&bed, &replica, granted).await;
    // Back from the dead, with a grant: the order of things is detach, then delete.
    let held = replica.delete(&id).await.unwrap_err();
    assert_eq!(held.kind(), Kind::InUse, "{held}");
    replica.unpublish_all(&id).await.unwrap();
    replica.delete(&id).await.unwrap();
    assert_eq!(bed.holdings(), Vec::<String>::new());
    replica.create("v").await.unwrap();
    attach(&bed, &replica, &id, "node-b").await;
    bed.assert_one_writer("deleted volume");
}

#[tokio::test]
async fn nothing_is_answered_while_a_repair_fails_and_it_is_tried_again() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    attach(&bed, &replica, &id, "node-a").await;
    let granted = bed.sim.snapshot();
    detach(&bed, &replica, &id, "node-a").await;
    let told = attach(&bed, &replica, &id, "node-b").await;

    // A single repair tries four times.
    bed.sim.faults().add(Rule {
        times: Some(1000),
        ..Rule::next(Fault::DropBefore, ":free:")
    });
    let before = replica.backend.incarnation();
    bed.restore(granted);
    within(replica.backend.restarted(before)).await;
    until("a whole repair has failed", || {
        assert!(!replica.volumes.ready(), "served before it was repaired");
        bed.sim.faults().rules()[0].times < Some(1000 - 4)
    })
    .await;
    let early = replica.publish(&id, "node-a").await.unwrap_err();
    assert_eq!(early.kind(), Kind::Unavailable, "{early}");
    bed.sim.faults().clear();
    replica.ready().await;
    assert_eq!(replica.publish(&id, "node-b").await.unwrap(), told);
    bed.assert_one_writer("failing repair");
}

#[tokio::test]
async fn a_call_that_meets_a_restored_state_does_not_take_it_for_its_own() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let old = attach(&bed, &replica, &id, "node-a").await;
    let granted = bed.sim.snapshot();
    detach(&bed, &replica, &id, "node-a").await;
    attach(&bed, &replica, &id, "node-b").await;
    bed.machine("node-b").disconnect(id.as_str());

    // Its line waits for a session, and the first session meets the restored device.
    bed.sim.server().refuse_connects().await;
    let before = replica.backend.incarnation();
    bed.restore(granted);
    let (detached, ()) = tokio::join!(replica.unpublish(&id, "node-b"), async {
        until("the call waits", || replica.backend.pool().waiting > 0).await;
        bed.sim.server().accept_connects().unwrap();
    });
    detached.unwrap_err();
    replica.reread(before).await;
    bed.machine("node-a").connect_only(&old).unwrap_err();
    replica.unpublish(&id, "node-b").await.unwrap();
    attach(&bed, &replica, &id, "node-c").await;
    bed.assert_one_writer("call over a restore");
}
