//! What the stand-in for external-attacher does, case by case.

use std::time::Duration;

use kube::ResourceExt as _;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::workload::attacher::Stage;
use rds_csi::workload::finalizer_name;

use super::rig::{DRIVER, HANG, NEVER, Rig};

/// So often that a test does not wait for it.
const OFTEN: Duration = Duration::from_millis(100);
const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";

#[tokio::test]
async fn an_attachment_is_marked_made_told_and_undone() {
    let rig = Rig::comparing(NEVER).await;
    let volume = rig.volume("pv-1").await;
    let name = rig.placement.attach(&volume, "node-a").await.unwrap();
    let told = rig.placement.attached(&name, HANG).await.unwrap();

    let machine = rig.sim.machine("node-a");
    machine.stage(&told).expect("the names open the volume");
    let made = rig.attachments().remove(0);
    assert_eq!(made.finalizers(), [finalizer_name(DRIVER)]);
    assert_eq!(made.annotations()[NODE_ID], "node-a");
    let held = rig.persistent_volumes().remove(0);
    assert_eq!(held.finalizers(), [finalizer_name(DRIVER)]);

    machine.disconnect(&volume.handle);
    rig.placement.remove_volume(&volume).await.unwrap();
    rig.placement.detach(&name).await.unwrap();
    rig.placement.gone(&name, HANG).await.unwrap();
    assert!(!rig.sim.world().disk(&volume.handle).unwrap().exported);
    let counts = rig.attacher.counts();
    // It may call twice, as the real one does, when its watch is behind its own writes.
    assert!(counts.publishes >= 1, "{counts:?}");
    assert!(counts.unpublishes >= 1, "{counts:?}");
    assert_eq!((counts.starts, counts.exits, counts.errors), (1, 0, 0));
}

#[tokio::test]
async fn a_second_node_is_told_why_and_gets_the_volume_after_the_first() {
    let rig = Rig::comparing(NEVER).await;
    let volume = rig.volume("pv-1").await;
    let first = rig.placement.attach(&volume, "node-a").await.unwrap();
    rig.placement.attached(&first, HANG).await.unwrap();
    let second = rig.placement.attach(&volume, "node-b").await.unwrap();
    let why = rig.placement.refused(&second, HANG).await.unwrap();
    assert!(why.contains("code = FailedPrecondition"), "{why}");
    assert!(why.contains("node-a"), "{why}");

    rig.placement.detach(&first).await.unwrap();
    let told = rig.placement.attached(&second, HANG).await.unwrap();
    rig.sim.machine("node-b").stage(&told).unwrap();
    rig.placement.gone(&first, HANG).await.unwrap();
    let status = rig.attachments().remove(0).status.unwrap();
    assert_eq!(status.attach_error, None, "it went well in the end");
    assert!(rig.sim.world().second_writers().is_empty());
}

#[tokio::test]
async fn an_attachment_that_cannot_be_marked_is_not_published() {
    let rig = Rig::with(NEVER, |_, api| async move {
        let marks = Matcher::of(Verb::Patch, "volumeattachments");
        let fault = Fault::Error { code: 500 };
        api.faults().add(Rule::always(fault, marks));
    })
    .await;
    let volume = rig.volume("pv-1").await;
    let name = rig.placement.attach(&volume, "node-a").await.unwrap();
    let why = rig.placement.refused(&name, HANG).await.unwrap();
    assert!(why.contains("Kubernetes API"), "{why}");
    assert_eq!(rig.attacher.counts().publishes, 0);
    assert!(!rig.sim.world().disk(&volume.handle).unwrap().exported);

    rig.api.faults().clear();
    rig.placement.attached(&name, HANG).await.unwrap();
}

#[tokio::test]
async fn a_driver_that_is_not_ready_is_waited_for_and_asked_nothing_else() {
    let rig = Rig::with(NEVER, |sim, _| async move { sim.power_off().await }).await;
    rig.until("it asks again and again", |counts| counts.probes >= 3)
        .await;
    assert_eq!(*rig.attacher.stage().borrow(), Stage::Probing);
    assert_eq!(rig.api.requests(Verb::List, "volumeattachments"), 0);

    rig.sim.power_on().unwrap();
    let volume = rig.volume("pv-1").await;
    let name = rig.placement.attach(&volume, "node-a").await.unwrap();
    rig.placement.attached(&name, HANG).await.unwrap();
    let counts = rig.attacher.counts();
    assert_eq!((counts.starts, counts.exits), (1, 0), "{counts:?}");
}

#[tokio::test]
async fn a_lost_driver_is_noticed_by_the_next_call_which_is_never_sent() {
    let mut rig = Rig::comparing(NEVER).await;
    let volume = rig.volume("pv-1").await;
    rig.until_stage(Stage::Working).await;
    rig.until("it has compared", |counts| counts.comparisons == 1)
        .await;
    let before = rig.attacher.counts();
    rig.kill_driver().await;
    assert_eq!(rig.attacher.counts(), before, "it has nothing to ask");

    let name = rig.placement.attach(&volume, "node-a").await.unwrap();
    let after = rig.until("it ends", |counts| counts.exits == 1).await;
    assert_eq!(after.publishes, before.publishes);
    let marked = rig.attachments().remove(0);
    assert_eq!(marked.finalizers(), [finalizer_name(DRIVER)]);

    rig.start_driver();
    rig.placement.attached(&name, HANG).await.unwrap();
    let counts = rig.attacher.counts();
    assert_eq!((counts.starts, counts.exits), (2, 1), "{counts:?}");
}

#[tokio::test]
async fn a_grant_that_the_rds_lost_is_published_again() {
    let rig = Rig::comparing(OFTEN).await;
    let volume = rig.volume("pv-1").await;
    let backup = rig.sim.snapshot();
    let name = rig.placement.attach(&volume, "node-a").await.unwrap();
    let before = rig.placement.attached(&name, HANG).await.unwrap();

    assert!(rig.sim.restore(backup), "there is that backup");
    rig.until("it is published again, and what is new is told", |counts| {
        let disk = rig.sim.world().disk(&volume.handle).unwrap();
        let status = rig.attachments().remove(0).status.unwrap();
        let told = status.attachment_metadata.unwrap();
        let is_granted = disk.exported && told["nvme_nqn"] == disk.subsystem_nqn;
        counts.repairs >= 1 && is_granted && told != before
    })
    .await;
}
