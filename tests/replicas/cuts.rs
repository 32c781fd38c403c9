//! A leader that has lost its way to the API, to the RDS or to both; an RDS that is gone for all.

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use rds_csi::workload::way::Condition;
use tokio::time::Instant;

use crate::rig::{Rig, SLOW};

#[tokio::test]
async fn a_leader_without_its_api_ends_and_another_leads() {
    let mut rig = Rig::start().await;
    for condition in [Condition::Cut, Condition::Hung] {
        let leader = rig.leader().await;
        let only = [leader.clone()];
        let cut = Instant::now();
        rig.set_api(&only, condition);
        assert_eq!(rig.ended(&leader).await.code(), Some(1), "{}", rig.logs());
        let back = rig.back(cut, "no API for the leader").await;
        assert_ne!(back.pod, leader);
        rig.restart(&leader).await;
        rig.set_api(&only, Condition::Open);
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_leader_that_lost_both_sides_ends_and_another_leads() {
    let mut rig = Rig::start().await;
    for condition in [Condition::Hung, Condition::Cut] {
        let leader = rig.leader().await;
        let only = [leader.clone()];
        let cut = Instant::now();
        rig.set_rds(&only, condition);
        rig.set_api(&only, condition);
        assert_eq!(rig.ended(&leader).await.code(), Some(1), "{}", rig.logs());
        let back = rig.back(cut, "neither side for the leader").await;
        assert_ne!(back.pod, leader);
        rig.restart(&leader).await;
        let healed = Instant::now();
        rig.set_api(&only, Condition::Open);
        rig.set_rds(&only, Condition::Open);
        rig.back(healed, "healed").await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_leader_without_its_rds_hands_over_to_one_that_has_it() {
    let mut rig = Rig::slow().await;
    let leader = rig.leader().await;
    let only = [leader.clone()];
    let cut = Instant::now();
    rig.set_rds(&only, Condition::Cut);
    // It tries for 10 s before it offers the Lease, and the one that takes it has read the RDS.
    assert_eq!(rig.ended(&leader).await.code(), Some(1), "{}", rig.logs());
    println!(
        "no RDS for the leader: handed over after {:?}",
        cut.elapsed()
    );
    let back = rig.back(Instant::now(), "handed over").await;
    assert_ne!(back.pod, leader);
    rig.restart(&leader).await;
    rig.set_rds(&only, Condition::Open);
    assert_eq!(rig.back(Instant::now(), "healed").await.pod, back.pod);
    rig.finish().await;
}

/// The Lease is on offer: whoever can reach the RDS may take it.
fn is_offered(rig: &Rig) -> bool {
    let leases: Vec<Lease> = rig.cluster.api().objects();
    let mut leases = leases.iter();
    leases.any(|lease| {
        lease
            .annotations()
            .contains_key("rds.csi.srvlab.io/offered-by")
    })
}

#[tokio::test]
async fn an_rds_that_is_gone_for_all_makes_nobody_flap() {
    // The leader looks for its RDS in its own time, whatever the lease.
    let mut rig = Rig::slow().await;
    let leader = rig.leader().await;
    let before = rig.lease();
    rig.cluster.sim().power_off().await;
    rig.until_lease("offered", |_| is_offered(&rig)).await;
    // Long enough for a follower to take it, if it would.
    let seen = Instant::now();
    rig.until_lease("still held", |_| seen.elapsed() > SLOW.deadline)
        .await;
    let on = Instant::now();
    rig.cluster.sim().power_on().unwrap();
    let back = rig.back(on, "the RDS is back").await;
    assert_eq!(back.pod, leader, "{}", rig.logs());
    let after = rig.lease();
    assert_eq!(after.holder, before.holder, "the same process");
    assert_eq!(after.transitions, before.transitions);
    assert!(!is_offered(&rig), "the offer is withdrawn");
    for pod in rig.pods() {
        assert!(rig.runs(&pod), "{pod} ended\n{}", rig.logs());
    }
    rig.finish().await;
}
