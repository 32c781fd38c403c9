//! `drain` and SIGTERM: a leader finishes, hands over at once, and waits quietly for its end.

use std::time::{Duration, Instant};

use rds_csi::csi::server::DRAIN_LIMIT;
use rds_csi::workload::cluster::Blow;
use rds_csi::workload::provisioner::Provisioner;
use rds_csi::workload::way::Condition;
use serde_json::Value;

use super::rig::{HANG, LEASE, Rig};

#[tokio::test]
async fn a_drained_leader_hands_over_at_once_and_stays_until_it_is_told_to_end() {
    let mut rig = Rig::start().await;
    let volume = rig.attach("pv-1", "node-a").await;
    let leader = rig.leader().await;
    let (socket, csi) = (rig.socket(&leader), rig.replica(&leader).socket());
    let start = Instant::now();
    let drained = rig.ask(&socket, &["drain"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}\n{}", rig.logs());
    assert_eq!(Provisioner::new(vec![csi.clone()]).ready().await, None);
    let next = rig.leader().await;
    let took = start.elapsed();
    assert_ne!(next, leader);
    assert!(took < LEASE.duration, "{took:?}\n{}", rig.logs());

    // Its container must not end before its pod does.
    let is_draining = |status: &Value| status["role"] == "draining";
    let status = rig.until(&socket, &["status"], is_draining).await;
    assert_eq!(status["ready"], false, "{status}");
    // What it knew is no longer so, and is not told.
    for part in ["holder", "epoch", "attachments", "drift", "fencing"] {
        assert_eq!(status[part], Value::Null, "{status}");
    }
    let (code, body) = rig.get(&leader, "/readyz").await;
    assert_eq!(code, 503, "{body}");
    assert!(body.starts_with("draining: "), "{body}");
    assert_eq!(rig.get(&leader, "/livez").await.0, 200);
    let again = Instant::now();
    let drained = rig.ask(&socket, &["drain"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    assert!(again.elapsed() < LEASE.retry, "{:?}", again.elapsed());
    assert_eq!(rig.cluster.lease().unwrap().pod, Some(next.clone()));

    let replica = rig.cluster.replica_mut(&leader).unwrap();
    assert!(replica.has_ended().is_none(), "{}", replica.log_tail());
    replica.hit(Blow::Terminate).unwrap();
    let status = replica.ended(HANG).await.unwrap();
    assert!(status.success(), "{status}: {}", replica.log_tail());

    let next = rig.socket(&next);
    let told = rig.until(&next, &["explain", "pv-1"], |_| true).await;
    assert_eq!(told["volume"], *volume.handle);
    assert_eq!(told["holder"]["node"], "node-a");
    rig.finish().await;
}

#[tokio::test]
async fn a_drained_follower_changes_nothing_for_the_leader() {
    let mut rig = Rig::start().await;
    let (leader, follower) = (rig.leader().await, rig.follower().await);
    let lease = rig.cluster.lease().unwrap();
    let drained = rig.ask(&rig.socket(&follower), &["drain"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}\n{}", rig.logs());
    let (code, body) = rig.get(&follower, "/readyz").await;
    assert!(code == 503 && body.starts_with("draining: "), "{body}");
    assert_eq!(rig.leader().await, leader);
    assert_eq!(rig.cluster.lease().unwrap(), lease);
    let replica = rig.cluster.replica_mut(&follower).unwrap();
    replica.hit(Blow::Terminate).unwrap();
    let status = replica.ended(HANG).await.unwrap();
    assert!(status.success(), "{status}: {}", replica.log_tail());
    rig.finish().await;
}

#[tokio::test]
async fn a_leader_whose_call_hangs_on_the_rds_still_ends_in_time_and_hands_over() {
    let mut rig = Rig::start().await;
    let volume = rig.attach("pv-1", "node-a").await;
    let leader = rig.leader().await;
    let placement = rig.cluster.placement();
    let attachment = placement.attachment(&volume, "node-a");
    rig.replica(&leader).rds_way().set(Condition::Hung);
    placement.detach(&attachment).await.unwrap();
    let is_under_way = |status: &Value| {
        let shards = status["shards"].as_array().into_iter().flatten();
        shards
            .filter_map(|shard| shard["running"].as_u64())
            .sum::<u64>()
            > 0
    };
    rig.until(&rig.socket(&leader), &["status"], is_under_way)
        .await;

    let start = Instant::now();
    let replica = rig.cluster.replica_mut(&leader).unwrap();
    replica.hit(Blow::Terminate).unwrap();
    let status = replica.ended(HANG).await.expect("it ends");
    let took = start.elapsed();
    // The Lease and the sockets take their second after the calls.
    let limit = DRAIN_LIMIT + Duration::from_secs(3);
    assert!(took < limit, "{took:?}: {}", replica.log_tail());
    assert!(status.success(), "{status}: {}", replica.log_tail());
    assert_ne!(rig.leader().await, leader);
    let gone = rig.cluster.placement().gone(&attachment, HANG).await;
    gone.unwrap_or_else(|error| panic!("{error}\n{}", rig.logs()));
    rig.finish().await;
}
