//! A collector that is not well: no call waits for it, and nothing is said more than once.

use std::time::Duration;

use rds_csi::workload::cluster::Blow;

use crate::collector::Manner;
use crate::rig::{HANG, Rig};

/// What the driver says when spans get lost, and when that is over.
const LOST: &str = "the collector does not take spans";
const WELL: &str = "the collector takes spans again";

/// What counts spans that did not arrive.
const DROPPED: &str = "rds_csi_telemetry_dropped_total";

/// So that the exporter waits for an answer as long as the collector pleases.
const PATIENT: (&str, &str) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000");

/// A publish while the exporter waits for its first answer: by its own spans it was over before that
/// came, and there was no step in it at which it could have waited.
async fn assert_nobody_waits(rig: &Rig, then: impl FnOnce(&Rig)) {
    let volume = rig.create("pv-1").await;
    rig.collector
        .until("spans", HANG, |spans| !spans.is_empty())
        .await;
    rig.publish(&volume, "node-a").await.unwrap();
    then(rig);
    let tree = rig.publish_trace(&volume, "node-a").await;
    assert_eq!(tree.shape(), crate::calls::PUBLISH);
    tree.assert_times_add_up();
    assert!(rig.collector.ended_before_any_answer(tree.root()));
}

#[tokio::test]
async fn no_call_waits_for_a_collector_that_says_nothing() {
    let rig = Rig::with(1, Manner::Hangs, &[PATIENT]).await;
    assert_nobody_waits(&rig, |rig| {
        assert_eq!(rig.collector.requests(), (1, 0));
        rig.collector.behave(Manner::Takes);
    })
    .await;
}

#[tokio::test]
async fn no_call_waits_for_a_collector_that_answers_ten_seconds_late() {
    let late = Manner::Late(Duration::from_secs(10));
    let rig = Rig::with(1, late, &[PATIENT]).await;
    assert_nobody_waits(&rig, |_| {}).await;
    assert!(rig.collector.requests().1 > 0, "the first answer came");
}

#[tokio::test]
async fn spans_without_room_to_wait_for_a_silent_collector_are_lost_and_counted() {
    let few = ("OTEL_BSP_MAX_QUEUE_SIZE", "16");
    let rig = Rig::with(1, Manner::Hangs, &[PATIENT, few]).await;
    let volume = rig.create("pv-1").await;
    // Each has more than a handful of spans.
    for _ in 0..4 {
        rig.publish(&volume, "node-a").await.unwrap();
    }
    assert!(rig.metric(DROPPED).await > 0.0);
}

#[tokio::test]
async fn a_collector_that_refuses_is_complained_of_once_and_what_it_refused_is_counted() {
    let rig = Rig::start(1, Manner::Refuses).await;
    let volume = rig.create("pv-1").await;
    for name in ["node-a", "node-b", "node-a"] {
        drop(rig.publish(&volume, name).await);
        let (came, _) = rig.collector.requests();
        let more = |_: &[_]| rig.collector.requests().0 > came;
        rig.collector.until("another try", HANG, more).await;
    }
    // It saw them, though it took none: there is no step in which the call waited for it.
    let other = rig.create("pv-2").await;
    rig.publish(&other, "node-a").await.unwrap();
    let tree = rig.publish_trace(&other, "node-a").await;
    assert_eq!(tree.shape(), crate::calls::PUBLISH);
    tree.assert_times_add_up();
    assert!(rig.metric(DROPPED).await > 0.0);

    rig.collector.behave(Manner::Takes);
    rig.publish(&volume, "node-a").await.unwrap();
    rig.until_logged(WELL).await;
    let logs = rig.logs();
    assert_eq!(logs.matches(LOST).count(), 1, "{logs}");
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_nothing_at_the_end() {
    let mut rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    rig.collector.stop().await;
    rig.publish(&volume, "node-a").await.unwrap();
    let replica = &mut rig.cluster.replicas_mut()[0];
    replica.hit(Blow::Terminate).unwrap();
    let ended = replica.ended(HANG).await.expect("it ends");
    assert!(ended.success(), "{ended}");
}

/// The exporter would wait for ten minutes.
#[tokio::test]
async fn a_collector_that_says_nothing_does_not_keep_a_process_from_ending() {
    let mut rig = Rig::with(1, Manner::Hangs, &[PATIENT]).await;
    rig.leader().await;
    rig.collector
        .until("spans", HANG, |spans| !spans.is_empty())
        .await;
    let replica = &mut rig.cluster.replicas_mut()[0];
    replica.hit(Blow::Terminate).unwrap();
    let ended = replica.ended(HANG).await.expect("it ends");
    assert!(ended.success(), "{ended}");
}
