//! The trace of a failover: one tree from the try to take the Lease to the first call that is served,
//! tied to what the former leader did last.

use k8s_openapi::api::coordination::v1::Lease;
use rds_csi::workload::cluster::Blow;

use crate::collector::{Manner, Span};
use crate::rig::{HANG, POLL, Rig};

/// Where a leader leaves the place of its last root span.
const TRACE: &str = "rds.csi.srvlab.io/trace";

/// The Lease is taken, every register is read, the claims are listed, calls are served.
const TAKE_OVER: &str = "\
term serves
  election.acquire done
    k8s.get leases done
    k8s.patch leases done
  rebuild.rds
    rds.command probe done
      rds.connection.wait
      rds.exec probe replied
    rds.command count done
      rds.connection.wait
      rds.exec count replied
    rds.command list done
      rds.connection.wait
      rds.exec list replied
  rebuild.join
    k8s.list volumeattachments done
    k8s.list persistentvolumes done
    k8s.list csinodes done
    k8s.list nodes done
  ready
";

#[tokio::test]
async fn a_failover_is_one_trace_that_leads_to_what_the_former_leader_did_last() {
    let mut rig = Rig::start(3, Manner::Takes).await;
    let former = rig.leader().await.pod().to_owned();
    let first = term(&rig, "the first term", |epoch| epoch == 1).await;
    let volume = rig.create("pv-1").await;
    rig.publish(&volume, "node-a").await.unwrap();
    let call = rig.publish_trace(&volume, "node-a").await.root().clone();
    let left = left_behind(&rig, &call).await;
    assert!(left.ends_with("-01"), "{left}");

    let replica = rig.cluster.replica_mut(&former).unwrap();
    replica.hit(Blow::Kill).unwrap();
    let leader = rig.leader().await.pod().to_owned();
    assert_ne!(leader, former);
    let tree = term(&rig, "the second term", |epoch| epoch > 1).await;
    assert_eq!(tree.shape(), TAKE_OVER);
    tree.assert_times_add_up();
    assert_ne!(tree.root().trace, first.root().trace);

    let linked = &tree.only("election.acquire").links;
    assert_eq!(*linked, [(call.trace.clone(), call.id.clone())]);

    // An orderly end is a trace of its own, and tied to the beginning.
    let replica = rig.cluster.replica_mut(&leader).unwrap();
    replica.hit(Blow::Terminate).unwrap();
    let is_end = |span: &Span| span.name == "term.end" && pod(span) == leader;
    let end = rig.trace("the end of the term", is_end).await;
    let root = tree.root();
    assert_eq!(end.root().get("outcome"), "given up");
    assert_eq!(end.root().links, [(root.trace.clone(), root.id.clone())]);
}

#[tokio::test]
async fn a_reconcile_pass_is_a_trace_of_its_own() {
    let often = ("RDS_CSI_ATTACHMENT_RECONCILE_INTERVAL", "1s");
    let rig = Rig::with(1, Manner::Takes, &[often]).await;
    rig.leader().await;
    let tree = rig.trace("a pass", |span| span.name == "reconcile").await;
    assert!(!tree.root().get("shard").is_empty());
    assert_eq!(tree.root().name, "reconcile");
    assert!(!tree.commands().is_empty(), "{}", tree.shape());
    tree.assert_times_add_up();
}

async fn term(rig: &Rig, what: &str, is_it: impl Fn(u64) -> bool) -> crate::tree::Tree {
    let is_root = |span: &Span| {
        let epoch = span.get("lease.epoch").parse().unwrap_or_default();
        span.name == "term" && span.get("outcome") == "serves" && is_it(epoch)
    };
    rig.trace(what, is_root).await
}

fn pod(span: &Span) -> &str {
    &span.resource["k8s.pod.name"]
}

/// Waits until the Lease names this span.
async fn left_behind(rig: &Rig, span: &Span) -> String {
    let named = format!("00-{}-{}-01", span.trace, span.id);
    let look = async {
        let mut ticks = tokio::time::interval(POLL);
        loop {
            ticks.tick().await;
            let leases: Vec<Lease> = rig.cluster.api().objects();
            let marks = leases
                .iter()
                .filter_map(|lease| lease.metadata.annotations.as_ref());
            let marks: Vec<_> = marks.filter_map(|marks| marks.get(TRACE)).collect();
            if let Some(mark) = marks.iter().find(|mark| ***mark == named) {
                return (*mark).clone();
            }
        }
    };
    let seen = tokio::time::timeout(HANG, look).await;
    seen.unwrap_or_else(|_| panic!("the Lease does not name {named}"))
}
