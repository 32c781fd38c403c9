//! A leader that is stopped in the middle of anything, and goes on later as if nothing had happened.

use std::time::Duration;

use rds_csi::workload::cluster::Blow;
use rds_csi::workload::way::Condition;
use tokio::time::Instant;

use crate::rig::{Rig, TIMES};

#[tokio::test]
async fn a_leader_that_froze_past_its_deadline_ends_and_answers_no_ok() {
    let mut rig = Rig::start().await;
    for tenths in [9, 11] {
        let leader = rig.leader().await;
        rig.hit(&leader, Blow::Freeze);
        rig.lasting(TIMES.duration * tenths / 10).await;
        let thawed = Instant::now();
        rig.hit(&leader, Blow::Thaw);
        let status = rig.ended(&leader).await;
        assert_eq!(status.code(), Some(1), "{}", rig.logs());
        println!(
            "frozen for {tenths}/10 leases: ended after {:?}",
            thawed.elapsed()
        );
        rig.back(thawed, "frozen about a lease").await;
        assert_eq!(
            rig.judge().oks_since(&leader, thawed),
            Vec::<Duration>::new()
        );
        rig.restart(&leader).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_leader_that_froze_for_a_moment_does_no_harm_whether_it_goes_on_or_not() {
    let mut rig = Rig::start().await;
    for _ in 0..3 {
        let leader = rig.leader().await;
        rig.hit(&leader, Blow::Freeze);
        rig.lasting(TIMES.duration * 3 / 10).await;
        let thawed = Instant::now();
        rig.hit(&leader, Blow::Thaw);
        rig.back(thawed, "frozen 0.3 leases").await;
        // On a busy machine 0.3 leases can be enough.
        if !rig.runs(&leader) {
            rig.restart(&leader).await;
        }
    }
    rig.finish().await;
}

#[tokio::test]
async fn while_a_leader_is_frozen_another_serves_and_late_lines_of_the_first_do_no_harm() {
    let mut rig = Rig::start().await;
    let leader = rig.leader().await;
    let only = [leader.clone()];
    // Lines that it sends from here on are under way until the way is open again.
    rig.set_rds(&only, Condition::Hung);
    rig.lasting(TIMES.retry).await;
    let frozen = Instant::now();
    rig.hit(&leader, Blow::Freeze);
    let back = rig.back(frozen, "frozen 6 leases").await;
    assert_ne!(back.pod, leader);
    rig.set_rds(&only, Condition::Open);
    rig.lasting((TIMES.duration * 6).saturating_sub(frozen.elapsed()))
        .await;
    let thawed = Instant::now();
    rig.hit(&leader, Blow::Thaw);
    assert_eq!(rig.ended(&leader).await.code(), Some(1), "{}", rig.logs());
    assert_eq!(
        rig.judge().oks_since(&leader, thawed),
        Vec::<Duration>::new()
    );
    rig.restart(&leader).await;
    rig.back(thawed, "thawed").await;
    rig.finish().await;
}
