//! An API that hangs, refuses, loses answers, or is cut off.

use rds_csi::clock::SystemClock;
use rds_csi::domain::election::{End, Loss, Standing, Timing};
use rds_csi::ports::{Clock, LeaseStore};
use rds_csi::service::election::Lost;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use serde_json::json;

use super::fixture::{Cluster, patient, short};

fn everything_of(client: &str) -> Matcher {
    Matcher {
        client: Some(client.into()),
        ..Matcher::default()
    }
}

fn patches_of(client: &str) -> Matcher {
    Matcher::of(Verb::Patch, "leases").by(client)
}

#[tokio::test]
async fn a_leader_cut_off_from_the_api_stops_before_another_begins() {
    for fault in [Fault::StallBefore, Fault::StallAfter, Fault::DropBefore] {
        let cluster = Cluster::released().await;
        let a = cluster.replica("a", short());
        let led = cluster.record.leads("a").await;
        let _b = cluster.replica("b", short());
        let cut = Rule::always(fault.clone(), everything_of("a"));
        cluster.api.faults().add(cut);
        let elected = cluster.record.elected("b").await;
        let ended = cluster.record.ended("a").await;
        assert!(ended.at < elected.at, "{fault:?}");
        assert!(
            matches!(ended.what, Standing::Ended(End::Lost(Loss::Expired))),
            "{fault:?}: {ended:?}"
        );
        assert!(elected.epoch() > led.epoch(), "{fault:?}");
        let Standing::Leading(leadership) = led.what else {
            panic!("led");
        };
        assert!(leadership.check(elected.at).is_err(), "{fault:?}");
        assert!(matches!(a.run.await.unwrap(), Err(Lost(Loss::Expired))));
    }
}

#[tokio::test]
async fn refusals_and_lost_answers_within_the_deadline_cost_nothing() {
    let faults = [
        Fault::Error { code: 500 },
        Fault::ErrorAfter { code: 504 },
        Fault::TooManyRequests { retry_after: 600 },
        Fault::DropAfter,
    ];
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", patient());
    cluster.record.leads("a").await;
    for fault in faults {
        let told = format!("{fault:?}");
        cluster
            .api
            .faults()
            .add(Rule::next(2, fault, patches_of("a")));
        let transitions = renewals(&cluster).await;
        assert!(cluster.api.faults().spent(), "{told}");
        assert_eq!(transitions, 5, "{told}: still the first term");
    }
    let standing = a.standing.borrow().clone();
    assert!(matches!(standing, Standing::Leading(_)), "{standing:?}");
}

/// Waits until the faults are spent and a renewal has succeeded since.
async fn renewals(cluster: &Cluster) -> u64 {
    let faults = cluster.api.faults().clone();
    cluster.until(|_| faults.spent()).await;
    let before = cluster.api.resource_version();
    cluster
        .until(|_| cluster.api.resource_version() > before)
        .await;
    let lease = cluster.lease().unwrap();
    lease["spec"]["leaseTransitions"].as_u64().unwrap()
}

#[tokio::test]
async fn a_storm_of_conflicts_does_not_unseat_a_leader() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", Timing::default());
    cluster.record.leads("a").await;
    let looker = cluster.store("looker", Timing::default());
    for round in 0..3 {
        let hold = Rule::next(1, Fault::Hold, patches_of("a"));
        cluster.api.faults().add(hold);
        cluster.api.faults().wait_held(1).await;
        // Somebody annotates the Lease between every read and write.
        cluster.edit(|lease| {
            lease["metadata"]["annotations"]["example.com/round"] = json!(round.to_string());
        });
        cluster.api.faults().release();
        // The held request is answered before one that is sent now, so it is not counted again.
        looker.get().await.unwrap();
    }
    let transitions = renewals(&cluster).await;
    assert_eq!(transitions, 5, "still the first term");
    let standing = a.standing.borrow().clone();
    assert!(matches!(standing, Standing::Leading(_)), "{standing:?}");
}

#[tokio::test]
async fn a_candidate_whose_answer_was_lost_takes_its_own_lease_anew() {
    let cluster = Cluster::released().await;
    let lost = Rule::next(1, Fault::DropAfter, patches_of("a"));
    cluster.api.faults().add(lost);
    let _a = cluster.replica("a", Timing::default());
    let led = cluster.record.leads("a").await;
    assert!(cluster.api.faults().spent());
    assert_eq!(led.epoch(), 6, "one above the epoch of the lost answer");
    let lease = cluster.lease().unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 6);
}

#[tokio::test]
async fn a_follower_without_a_watch_still_sees_a_release() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", short());
    cluster.record.leads("a").await;
    let no_watch = Matcher::of(Verb::Watch, "leases").by("b");
    cluster
        .api
        .faults()
        .add(Rule::always(Fault::StallBefore, no_watch));
    let _b = cluster.replica("b", short());
    a.stop.cancel();
    a.run.await.unwrap().unwrap();
    let elected = cluster.record.elected("b").await;
    assert!(elected.at <= SystemClock.boot());
    assert_eq!(cluster.record.holders(), ["a", "b"]);
}

#[tokio::test]
async fn a_stop_ends_in_time_on_an_api_that_hangs() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", short());
    cluster.record.leads("a").await;
    let hangs = Rule::always(Fault::StallBefore, everything_of("a"));
    cluster.api.faults().add(hangs);
    let asked = SystemClock.boot();
    a.stop.cancel();
    a.run.await.unwrap().unwrap();
    let took = asked.until(SystemClock.boot());
    assert!(took < short().lease() * 5, "{took:?}");
    assert_eq!(cluster.holder(), "a", "it has to run out");
}
