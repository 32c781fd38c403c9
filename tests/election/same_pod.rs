//! A pod whose container crashed: the next process in it, and what it finds on record.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rds_csi::clock::SystemClock;
use rds_csi::domain::election::{
    BootId, HolderId, PodRecord, Predecessor, ShortCutRules, Tenure, Timing,
};
use rds_csi::domain::error::{Error, Kind};
use rds_csi::domain::leadership::BootTime;
use rds_csi::ports::{Clock, Legacy};
use rds_csi::sim::kubernetes::KubeApi;

use super::fixture::{Cluster, Replica, short};
use super::record::Line;

const UID: &str = "a6f1b2c3-6d2c-4c58-9d0a-2f8f0d9b7a11";

/// The pod's record in memory, and who held the Lease when each line was written.
#[derive(Debug)]
struct Notes {
    api: KubeApi,
    full: bool,
    record: Mutex<PodRecord>,
    lines: Mutex<Vec<(What, String)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Leads,
    GaveUp,
    ShortCut,
}

impl Notes {
    fn new(cluster: &Cluster, full: bool) -> Arc<Self> {
        Arc::new(Self {
            api: cluster.api.clone(),
            full,
            record: Mutex::new(PodRecord {
                boot: BootId::new("this one").unwrap(),
                tenure: None,
                short_cut: None,
            }),
            lines: Mutex::default(),
        })
    }

    fn write(&self, what: What, change: impl FnOnce(&mut PodRecord)) -> Result<(), Error> {
        if self.full {
            return Err(Error::new(Kind::Unavailable, "the disk is full"));
        }
        let leases = self
            .api
            .objects::<k8s_openapi::api::coordination::v1::Lease>();
        let spec = leases.first().and_then(|lease| lease.spec.clone());
        let holder = spec
            .and_then(|spec| spec.holder_identity)
            .unwrap_or_default();
        self.lines.lock().unwrap().push((what, holder));
        change(&mut self.record.lock().unwrap());
        Ok(())
    }

    fn lines(&self) -> Vec<(What, String)> {
        let mut lines = self.lines.lock().unwrap().clone();
        lines.dedup();
        lines
    }

    /// What the pod's process `me` may take at once, by rules that tests have time for.
    fn predecessor(&self, me: &HolderId) -> Predecessor {
        let record = self.record.lock().unwrap();
        let rules = ShortCutRules {
            led_for: Duration::ZERO,
            apart: Duration::ZERO,
        };
        let now = SystemClock.boot();
        Predecessor::find(me, Some(&record), &record.boot, &rules, now).unwrap()
    }
}

#[async_trait]
impl Legacy for Notes {
    async fn tenure(&self, tenure: Option<Tenure>) -> Result<(), Error> {
        let what = if tenure.is_some() {
            What::Leads
        } else {
            What::GaveUp
        };
        self.write(what, |record| record.tenure = tenure)
    }

    async fn short_cut(&self, at: BootTime) -> Result<(), Error> {
        self.write(What::ShortCut, |record| record.short_cut = Some(at))
    }
}

fn id(nonce: u64) -> HolderId {
    HolderId::of_process("pod", UID, nonce).unwrap()
}

/// A first process that leads, and puts that on record.
async fn first(cluster: &Cluster, notes: &Arc<Notes>, timing: Timing) -> (Replica, Line) {
    let legacy = notes.clone();
    let a = cluster.process("a", id(1), timing, |it| it.with_legacy(legacy, None));
    let led = cluster.record.leads("a").await;
    // The record is written after the standing is told; the first renewal comes after both.
    let version = |lease: Option<&serde_json::Value>| {
        let lease = lease.unwrap();
        lease["metadata"]["resourceVersion"].to_string()
    };
    let before = version(cluster.lease().as_ref());
    cluster.until(|lease| version(lease) != before).await;
    assert_eq!(notes.lines(), [(What::Leads, id(1).to_string())]);
    (a, led)
}

#[tokio::test]
async fn the_next_process_of_a_crashed_pod_leads_long_before_the_lease_runs_out() {
    let cluster = Cluster::released().await;
    let notes = Notes::new(&cluster, false);
    let (a, before) = first(&cluster, &notes, Timing::default()).await;
    let _other = cluster.replica("b", Timing::default());
    a.run.abort();
    let crashed = SystemClock.boot();
    let (me, legacy) = (id(2), notes.clone());
    let dead = notes.predecessor(&me);
    let _next = cluster.process("next", me, Timing::default(), |it| {
        it.with_legacy(legacy, Some(dead))
    });
    let after = cluster.record.leads("next").await;
    let gap = crashed.until(after.at);
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    assert!(after.epoch() > before.epoch());
    assert_eq!(cluster.record.holders(), ["a", "next"]);
    let lines = notes.lines();
    let expected = [
        (What::Leads, id(1).to_string()),
        // On record while the Lease still is the dead one's.
        (What::ShortCut, id(1).to_string()),
    ];
    assert_eq!(lines.get(..2), Some(&expected[..]), "{lines:?}");
}

#[tokio::test]
async fn a_short_cut_that_cannot_be_put_on_record_is_not_taken() {
    let cluster = Cluster::released().await;
    let notes = Notes::new(&cluster, false);
    let (a, _) = first(&cluster, &notes, short()).await;
    a.run.abort();
    let me = id(2);
    let dead = notes.predecessor(&me);
    let full = Notes::new(&cluster, true);
    let begun = SystemClock.boot();
    let _next = cluster.process("next", me, short(), |it| it.with_legacy(full, Some(dead)));
    let after = cluster.record.leads("next").await;
    let gap = begun.until(after.at);
    assert!(gap >= short().lease(), "waited like any other: {gap:?}");
}

#[tokio::test]
async fn what_is_on_record_is_withdrawn_before_the_lease_is_given_up() {
    for offers in [false, true] {
        let cluster = Cluster::released().await;
        let notes = Notes::new(&cluster, false);
        let (a, _) = first(&cluster, &notes, short()).await;
        if offers {
            a.reports.rds_lost().await;
            cluster
                .until(|lease| {
                    let marks = &lease.unwrap()["metadata"]["annotations"];
                    marks["rds.csi.srvlab.io/offered-by"].is_string()
                })
                .await;
        } else {
            a.stop.cancel();
            a.run.await.unwrap().unwrap();
        }
        let gave_up = (What::GaveUp, id(1).to_string());
        assert_eq!(notes.lines().get(1), Some(&gave_up), "offers: {offers}");
    }
}
