//! Three replicas as processes, a simulated RDS, the API and the sidecars: what users see when
//! leaders end, freeze, or lose their way to either side.

#![cfg(all(unix, feature = "sim"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "replicas/rig.rs"]
mod rig;

use rds_csi::workload::cluster::Blow;

use rig::Rig;

#[tokio::test]
async fn one_of_three_serves_and_the_others_wait_behind_probe() {
    let rig = Rig::start().await;
    let leader = rig.leader().await;
    rig.attach("pv-1", "node-a").await;
    assert_eq!(rig.leader().await, leader, "nobody else leads");
    rig.finish().await;
}

#[tokio::test]
async fn a_killed_leader_is_replaced_and_its_volumes_move() {
    let mut rig = Rig::start().await;
    let volume = rig.attach("pv-1", "node-a").await;
    let leader = rig.leader().await;
    rig.hit(&leader, Blow::Kill);
    rig.detach(&volume, "node-a").await;
    rig.attach_again(&volume, "node-b").await;
    assert_ne!(rig.leader().await, leader);
    rig.finish().await;
}
