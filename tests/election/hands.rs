//! Leases that were edited, damaged, deleted or dated by other clocks.

use std::time::Duration;

use rds_csi::clock::SystemClock;
use rds_csi::domain::election::{Hold, Loss, Timing};
use rds_csi::domain::leadership::Epoch;
use rds_csi::ports::{Clock, LeaseStore};
use rds_csi::service::election::Lost;
use serde_json::json;

use super::fixture::{Cluster, short};

#[tokio::test]
async fn every_lease_that_the_api_stores_can_be_taken_whatever_is_in_it() {
    let future = "2099-01-01T00:00:00.000000Z";
    let rows = [
        json!(null),
        json!({}),
        json!({"holderIdentity": "kubectl"}),
        json!({"holderIdentity": "kubectl", "renewTime": future, "leaseDurationSeconds": 2_147_483_647}),
        json!({"holderIdentity": "kubectl", "leaseTransitions": 2_147_483_647}),
        json!({"leaseTransitions": -3, "leaseDurationSeconds": -1}),
        json!({"acquireTime": future, "renewTime": future, "leaseTransitions": 1}),
    ];
    for spec in rows {
        let cluster = Cluster::new().await;
        cluster.seed(&spec, &json!({"rds.csi.srvlab.io/epoch": "nonsense"}));
        let a = cluster.store("a", Timing::default());
        let seen = a.get().await.unwrap().unwrap();
        assert_ne!(seen.hold, Hold::Released, "{spec}");
        let taken = a.acquire(&seen.version, Epoch::from_record(5)).await;
        let taken = taken.unwrap_or_else(|failure| panic!("{spec}: {failure:?}"));
        assert_eq!(taken.epoch.digits(), 5, "{spec}");
        assert_eq!(cluster.holder(), "a", "{spec}");
        a.renew(Epoch::from_record(5), false).await.unwrap();
        a.release().await.unwrap();
    }
}

#[tokio::test]
async fn times_of_day_neither_hasten_nor_delay_a_take_over() {
    // An hour off either way: by the wall clock one ran out long ago, the other never does.
    for renewed in ["2001-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"] {
        let cluster = Cluster::new().await;
        cluster.seed(
            &json!({
                "holderIdentity": "gone", "leaseDurationSeconds": 2, "leaseTransitions": 0,
                "acquireTime": renewed, "renewTime": renewed,
            }),
            &json!({}),
        );
        let started = SystemClock.boot();
        let _a = cluster.replica("a", short());
        let elected = cluster.record.elected("a").await;
        let waited = started.until(elected.at);
        assert!(waited >= short().lease(), "{renewed}: {waited:?}");
        assert!(waited < Duration::from_secs(30), "{renewed}: {waited:?}");
    }
}

#[tokio::test]
async fn a_lease_that_a_hand_emptied_is_not_free_at_once() {
    let cluster = Cluster::new().await;
    cluster.seed(&json!({"holderIdentity": ""}), &json!({}));
    let started = SystemClock.boot();
    let _a = cluster.replica("a", short());
    let elected = cluster.record.elected("a").await;
    assert!(started.until(elected.at) >= short().lease());
}

#[tokio::test]
async fn a_deleted_or_emptied_lease_is_the_leaders_again() {
    for deletes in [true, false] {
        let cluster = Cluster::released().await;
        let _a = cluster.replica("a", Timing::default());
        let led = cluster.record.leads("a").await;
        let _b = cluster.replica("b", Timing::default());
        if deletes {
            cluster.delete();
        } else {
            cluster.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
        }
        let epoch = led.epoch().to_string();
        cluster
            .until(|lease| {
                lease.is_some_and(|lease| {
                    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
                    let marks = &lease["metadata"]["annotations"];
                    holder.starts_with("a_") && marks["rds.csi.srvlab.io/epoch"] == epoch
                })
            })
            .await;
        assert_eq!(cluster.record.holders(), ["a"], "deletes: {deletes}");
    }
}

#[tokio::test]
async fn a_lease_given_to_another_by_hand_ends_the_leader() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", Timing::default());
    cluster.record.leads("a").await;
    cluster.edit(|lease| lease["spec"]["holderIdentity"] = json!("kubectl"));
    let Err(Lost(loss)) = a.run.await.unwrap() else {
        panic!("a goes on");
    };
    assert!(
        matches!(&loss, Loss::Taken(holder) if holder.as_str() == "kubectl"),
        "{loss:?}"
    );
    assert_eq!(cluster.holder(), "kubectl");
}
