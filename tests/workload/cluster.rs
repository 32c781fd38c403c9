//! A cluster in one process: what can be done to its replicas, and what that does to volumes.

use std::path::PathBuf;
use std::time::Duration;

use rds_csi::workload::attacher::Counts;
use rds_csi::workload::cluster::{Blow, Cluster, Options};
use rds_csi::workload::placement::Volume;
use rds_csi::workload::way::Condition;
use tokio::time::timeout;

use super::process::POLL;
use super::rig::HANG;

const GIB: i64 = 1 << 30;

async fn standalone() -> Cluster {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_rds-csi"));
    let options = Options {
        revoke_settle: Duration::from_millis(1),
        arguments: vec!["--unsafe-revoke-settle".to_owned()],
        ..Options::of(program).standalone()
    };
    Cluster::start(options).await.unwrap()
}

async fn volume(cluster: &Cluster, name: &str) -> Volume {
    let made = cluster.provisioner().create(name, GIB, false, HANG).await;
    let log = cluster.replicas()[0].log_tail();
    let volume = made.unwrap_or_else(|error| panic!("{error}\n{log}"));
    cluster.placement().add_volume(&volume).await.unwrap();
    volume
}

/// Waits until the only sidecar has done what is looked for.
async fn until(cluster: &Cluster, what: &str, is_it: impl Fn(Counts) -> bool) -> Counts {
    let counts = || cluster.replicas()[0].attacher().unwrap().counts();
    let look = async {
        let mut ticks = tokio::time::interval(POLL);
        while !is_it(counts()) {
            ticks.tick().await;
        }
    };
    let seen = timeout(HANG, look).await;
    seen.unwrap_or_else(|_| panic!("{what}: {:?}", counts()));
    counts()
}

#[tokio::test]
async fn a_process_that_was_killed_is_started_again_in_its_pod_and_serves() {
    let mut cluster = standalone().await;
    let volume = volume(&cluster, "pv-1").await;
    let socket = cluster.replicas()[0].socket();
    assert_eq!(cluster.ready().await.as_deref(), Some("controller-0"));

    let replica = cluster.replica_mut("controller-0").unwrap();
    replica.hit(Blow::Kill).unwrap();
    let status = replica.ended(HANG).await.unwrap();
    assert!(!status.success(), "{status}");
    assert_eq!(cluster.tend().await.unwrap().len(), 1);
    assert_eq!(cluster.replicas()[0].socket(), socket, "the same pod");
    let name = cluster.placement().attach(&volume, "node-a").await.unwrap();
    cluster.placement().attached(&name, HANG).await.unwrap();
    assert!(cluster.tend().await.unwrap().is_empty(), "it runs");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_process_that_stands_still_keeps_its_callers_waiting_until_it_goes_on() {
    let mut cluster = standalone().await;
    let volume = volume(&cluster, "pv-1").await;
    cluster.replicas_mut()[0].hit(Blow::Freeze).unwrap();
    assert_eq!(cluster.ready().await, None);
    let name = cluster.placement().attach(&volume, "node-a").await.unwrap();
    let early = Duration::from_millis(300);
    let late = cluster.placement().attached(&name, early).await;
    late.expect_err("nobody could answer");
    cluster.replicas_mut()[0].hit(Blow::Thaw).unwrap();
    cluster.placement().attached(&name, HANG).await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_process_that_is_asked_to_end_ends_well_and_a_new_pod_takes_its_place() {
    let mut cluster = standalone().await;
    let volume = volume(&cluster, "pv-1").await;
    let before = cluster.replicas()[0].socket();
    let replica = &mut cluster.replicas_mut()[0];
    replica.hit(Blow::Terminate).unwrap();
    let status = replica.ended(HANG).await.unwrap();
    assert!(status.success(), "{status}: {}", replica.log_tail());
    replica.replace().await.unwrap();
    assert_ne!(replica.socket(), before);
    let name = cluster.placement().attach(&volume, "node-a").await.unwrap();
    cluster.placement().attached(&name, HANG).await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_a_replica_cannot_reach_it_does_not_change() {
    let cluster = standalone().await;
    let volume = volume(&cluster, "pv-1").await;
    let replica = &cluster.replicas()[0];
    let placement = cluster.placement();

    replica.rds_way().set(Condition::Cut);
    let name = placement.attach(&volume, "node-a").await.unwrap();
    let why = placement.refused(&name, HANG).await.unwrap();
    assert!(why.contains("code = Unavailable"), "{why}");
    replica.rds_way().set(Condition::Open);
    placement.attached(&name, HANG).await.unwrap();

    let before = until(&cluster, "it is idle", |counts| counts.publishes >= 1).await;
    replica.api_way().set(Condition::Hung);
    placement.detach(&name).await.unwrap();
    let early = Duration::from_millis(300);
    let late = placement.gone(&name, early).await;
    late.expect_err("nobody was told");
    let after = replica.attacher().unwrap().counts();
    assert_eq!(after.unpublishes, before.unpublishes);
    replica.api_way().set(Condition::Open);
    placement.gone(&name, HANG).await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_cluster_that_ended() {
    let cluster = standalone().await;
    let socket = cluster.replicas()[0].socket();
    let folder = socket.parent().unwrap().parent().unwrap().to_owned();
    volume(&cluster, "pv-1").await;
    assert!(socket.exists());
    cluster.shutdown().await;
    assert!(!folder.exists(), "{}", folder.display());
}
