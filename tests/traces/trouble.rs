//! A collector that is not well: no call waits for it, and nothing is said more than once.

use std::time::Duration;

use rds_csi::workload::cluster::Blow;

use crate::collector::Manner;
use crate::rig::{HANG, Rig};

/// What the driver says when spans get lost, and when that is over.
const LOST: &str = "the collector does not take spans";
const WELL: &str = "the collector takes spans again";

#[tokio::test]
async fn no_call_waits_for_a_collector_that_says_nothing() {
    let rig = Rig::with(
        1,
        Manner::Hangs,
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")],
    )
    .await;
    let volume = rig.create("pv-1").await;
    rig.collector
        .until("spans", HANG, |spans| !spans.is_empty())
        .await;
    for node in ["node-a", "node-b"] {
        drop(rig.publish(&volume, node).await);
    }
    // Both calls were answered while the exporter was still waiting for its first answer.
    assert_eq!(rig.collector.requests(), (1, 0));
    rig.collector.behave(Manner::Takes);
    let tree = rig.publish_trace(&volume, "node-a").await;
    assert_eq!(tree.shape(), crate::calls::PUBLISH);
    tree.assert_times_add_up();
}

#[tokio::test]
async fn no_call_waits_for_a_collector_that_answers_ten_seconds_late() {
    let rig = Rig::start(1, Manner::Late(Duration::from_secs(10))).await;
    let volume = rig.create("pv-1").await;
    rig.collector
        .until("spans", HANG, |spans| !spans.is_empty())
        .await;
    let (_, before) = rig.collector.requests();
    rig.publish(&volume, "node-a").await.unwrap();
    let (_, after) = rig.collector.requests();
    assert_eq!(before, after, "nothing was answered during the call");
}

#[tokio::test]
async fn a_collector_that_refuses_is_complained_of_once() {
    let rig = Rig::start(1, Manner::Refuses).await;
    let volume = rig.create("pv-1").await;
    for name in ["node-a", "node-b", "node-a"] {
        drop(rig.publish(&volume, name).await);
        let (came, _) = rig.collector.requests();
        let more = |_: &[_]| rig.collector.requests().0 > came;
        rig.collector.until("another try", HANG, more).await;
    }
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
