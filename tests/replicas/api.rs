//! An API that is down, busy, or out of its mind, for all replicas or for one.

use std::time::Duration;

use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::workload::cluster::Blow;
use rds_csi::workload::way::Condition;
use serde_json::json;
use tokio::time::Instant;

use crate::rig::{Rig, SCALE, SLOW, TIMES};

/// Outages of 5 s and 30 s against a lease of 10 s, to the scale of ours.
const OUTAGES: [Duration; 2] = [
    Duration::from_millis(5_000 / SCALE as u64),
    Duration::from_millis(30_000 / SCALE as u64),
];

/// What kubelet does all the time: what has ended is started again.
async fn restart_all_that_ended(rig: &mut Rig) -> usize {
    let mut ended = 0;
    for pod in rig.pods() {
        if !rig.runs(&pod) {
            rig.restart(&pod).await;
            ended += 1;
        }
    }
    ended
}

#[tokio::test]
async fn an_outage_of_the_api_while_a_leader_serves_ends_in_service() {
    let mut rig = Rig::start().await;
    for (outage, condition) in OUTAGES.into_iter().zip([Condition::Cut, Condition::Hung]) {
        let leader = rig.leader().await;
        let pods = rig.pods();
        rig.set_api(&pods, condition);
        rig.lasting(outage).await;
        let healed = Instant::now();
        rig.set_api(&pods, Condition::Open);
        if outage > TIMES.duration {
            // Its right had ended, whoever might have taken over.
            assert_eq!(rig.ended(&leader).await.code(), Some(1), "{}", rig.logs());
        }
        let ended = restart_all_that_ended(&mut rig).await;
        assert!(ended <= 1, "followers wait an outage out");
        rig.back(healed, "an outage of the API").await;
        restart_all_that_ended(&mut rig).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn replicas_that_start_while_the_api_is_down_wait_for_it() {
    let mut rig = Rig::start().await;
    let pods = rig.pods();
    for (outage, condition) in OUTAGES.into_iter().zip([Condition::Hung, Condition::Cut]) {
        rig.set_api(&pods, condition);
        for pod in &pods {
            rig.restart(pod).await;
        }
        rig.lasting(outage).await;
        for pod in &pods {
            assert!(rig.runs(pod), "{pod} ended\n{}", rig.logs());
        }
        let healed = Instant::now();
        rig.set_api(&pods, Condition::Open);
        rig.back(healed, "an outage of the API at start").await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn an_outage_of_the_api_during_a_take_over_only_delays_it() {
    let mut rig = Rig::start().await;
    let pods = rig.pods();
    for (outage, condition) in OUTAGES.into_iter().zip([Condition::Cut, Condition::Hung]) {
        let leader = rig.leader().await;
        rig.hit(&leader, Blow::Kill);
        rig.ended(&leader).await;
        // Those that wait for the Lease to run out are about to take it.
        rig.lasting(TIMES.duration * 3 / 4).await;
        rig.set_api(&pods, condition);
        rig.lasting(outage).await;
        let healed = Instant::now();
        rig.set_api(&pods, Condition::Open);
        rig.back(healed, "an outage of the API during a take-over")
            .await;
        restart_all_that_ended(&mut rig).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_storm_of_writes_to_the_lease_ends_in_service() {
    let mut rig = Rig::start().await;
    for storm in OUTAGES {
        let end = Instant::now() + storm;
        let mut number = 0;
        // Whoever reads the Lease finds it changed when it writes, and gets 409.
        while Instant::now() < end {
            number += 1;
            let number = number.to_string();
            rig.edit(json!({"metadata": {"annotations": {"storm": number}}}))
                .await;
        }
        println!("{number} writes in {storm:?}");
        restart_all_that_ended(&mut rig).await;
        rig.back(end, "a storm of 409").await;
        restart_all_that_ended(&mut rig).await;
    }
    rig.finish().await;
}

/// What an API does to one of its clients.
fn ills() -> [Fault; 4] {
    [
        Fault::TooManyRequests { retry_after: 1 },
        Fault::Error { code: 503 },
        Fault::StallBefore,
        Fault::ErrorAfter { code: 500 },
    ]
}

fn all_of(pod: &str) -> Matcher {
    Matcher {
        client: Some(pod.to_owned()),
        ..Matcher::default()
    }
}

#[tokio::test]
async fn a_leader_that_the_api_refuses_ends_and_another_leads() {
    let mut rig = Rig::start().await;
    for fault in ills() {
        let leader = rig.leader().await;
        let what = format!("{fault:?} for the leader");
        let faults = rig.cluster.api().faults().clone();
        faults.add(Rule::always(fault, all_of(&leader)));
        assert_eq!(rig.ended(&leader).await.code(), Some(1), "{}", rig.logs());
        let back = rig.back(Instant::now(), &what).await;
        assert_ne!(back.pod, leader);
        rig.restart(&leader).await;
        faults.clear();
    }
    rig.finish().await;
}

#[tokio::test]
async fn nobody_notices_that_the_api_refuses_a_follower() {
    let mut rig = Rig::slow().await;
    let leader = rig.leader().await;
    let before = rig.lease();
    let follower = rig.followers_of(&leader).remove(0);
    for fault in ills() {
        let faults = rig.cluster.api().faults().clone();
        faults.add(Rule::always(fault, all_of(&follower)));
        // One renewal of the leader, and a look of the follower.
        rig.lasting(SLOW.retry * 3 / 2).await;
        faults.clear();
        let back = rig.back(Instant::now(), "a follower").await;
        assert_eq!(back.pod, leader, "{}", rig.logs());
        assert!(rig.runs(&follower), "{}", rig.logs());
    }
    let after = rig.lease();
    assert_eq!(
        (after.holder, after.transitions),
        (before.holder, before.transitions)
    );
    rig.finish().await;
}
