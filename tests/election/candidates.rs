//! Candidates among themselves: who leads, and who next.

use std::time::Duration;

use rds_csi::clock::SystemClock;
use rds_csi::domain::election::{End, Loss, Standing, Timing};
use rds_csi::domain::leadership::Epoch;
use rds_csi::ports::Clock;
use rds_csi::service::election::Lost;

use super::fixture::{Cluster, short};
use super::record::Line;

#[tokio::test]
async fn of_three_that_start_without_a_lease_one_leads_and_the_others_know_it() {
    let cluster = Cluster::new().await;
    let _replicas = ["a", "b", "c"].map(|name| cluster.replica(name, short()));
    let first = cluster.record.first(Line::holds).await;
    for name in ["a", "b", "c"] {
        if name == first.who {
            continue;
        }
        cluster
            .record
            .first(|line| {
                line.who == name
                    && matches!(&line.what, Standing::Following { leader: Some(leader), .. }
                        if leader.as_str().starts_with(first.who))
            })
            .await;
    }
    let led = cluster.record.leads(first.who).await;
    assert_eq!(led.epoch(), 1);
    assert_eq!(cluster.record.holders(), [first.who]);
}

#[tokio::test]
async fn a_release_hands_over_long_before_the_lease_runs_out() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", Timing::default());
    let before = cluster.record.leads("a").await;
    let _b = cluster.replica("b", Timing::default());
    cluster
        .record
        .first(|line| {
            matches!(
                &line.what,
                Standing::Following {
                    leader: Some(_),
                    ..
                }
            )
        })
        .await;
    a.stop.cancel();
    a.run.await.unwrap().unwrap();
    let ended = cluster.record.ended("a").await;
    let elected = cluster.record.elected("b").await;
    assert!(ended.at <= elected.at, "a stopped before b began");
    // Without the watch it would be the retry time, 2 s; without the mark the lease, 10 s.
    let gap = ended.at.until(elected.at);
    assert!(gap < Duration::from_millis(1500), "{gap:?}");
    assert!(cluster.record.leads("b").await.epoch() > before.epoch());
}

#[tokio::test]
async fn a_crashed_leader_is_replaced_after_its_lease_at_a_higher_epoch() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", short());
    let before = cluster.record.leads("a").await;
    let _b = cluster.replica("b", short());
    a.run.abort();
    let after = cluster.record.leads("b").await;
    assert!(after.epoch() > before.epoch());
    // The other began to watch after that.
    assert!(before.at.until(after.at) >= short().lease());
    let Standing::Leading(leadership) = before.what else {
        panic!("led");
    };
    assert!(leadership.check(after.at).is_err());
}

#[tokio::test]
async fn an_offer_goes_to_the_one_that_reads_the_rds_and_at_once() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", Timing::default());
    let led = cluster.record.leads("a").await;
    let b = cluster.replica("b", Timing::default());
    let _c = cluster.replica("c", Timing::default());
    a.reports.rds_lost().await;
    for name in ["b", "c"] {
        cluster
            .record
            .first(|line| {
                line.who == name && matches!(line.what, Standing::Following { offered: true, .. })
            })
            .await;
    }
    let fenced = cluster
        .record
        .first(|line| line.who == "a" && matches!(line.what, Standing::Offering))
        .await;
    let sent = SystemClock.boot();
    b.reports
        .rds_read(Epoch::from_record(led.epoch()), sent)
        .await;
    let elected = cluster.record.elected("b").await;
    assert!(fenced.at < elected.at);
    let gap = sent.until(elected.at);
    assert!(gap < Duration::from_secs(5), "half a lease: {gap:?}");
    let Err(Lost(loss)) = a.run.await.unwrap() else {
        panic!("a goes on");
    };
    assert!(matches!(loss, Loss::Taken(_)), "{loss:?}");
    assert_eq!(cluster.record.holders(), ["a", "b"]);
}

#[tokio::test]
async fn a_leader_whose_rds_comes_back_goes_on() {
    let cluster = Cluster::released().await;
    let a = cluster.replica("a", Timing::default());
    let led = cluster.record.leads("a").await;
    a.reports.rds_lost().await;
    let mark = |lease: Option<&serde_json::Value>| {
        lease.is_some_and(|lease| {
            lease["metadata"]["annotations"]["rds.csi.srvlab.io/offered-by"].is_string()
        })
    };
    cluster.until(mark).await;
    a.reports
        .rds_read(Epoch::from_record(led.epoch()), SystemClock.boot())
        .await;
    cluster.until(|lease| !mark(lease)).await;
    let offered = cluster
        .record
        .first(|line| matches!(line.what, Standing::Offering))
        .await;
    let again = cluster
        .record
        .first(|line| line.at > offered.at && matches!(line.what, Standing::Leading(_)))
        .await;
    assert_eq!(again.who, "a");
    assert!(again.epoch() > led.epoch());
}

#[tokio::test]
async fn a_follower_that_is_stopped_leaves_the_lease_alone() {
    let cluster = Cluster::released().await;
    let _a = cluster.replica("a", Timing::default());
    cluster.record.leads("a").await;
    let b = cluster.replica("b", Timing::default());
    cluster
        .record
        .first(|line| {
            line.who == "b"
                && matches!(
                    &line.what,
                    Standing::Following {
                        leader: Some(_),
                        ..
                    }
                )
        })
        .await;
    b.stop.cancel();
    b.run.await.unwrap().unwrap();
    let ended = b.standing.borrow().clone();
    assert!(matches!(ended, Standing::Ended(End::Stopped)), "{ended:?}");
    assert_eq!(cluster.holder(), "a");
}
