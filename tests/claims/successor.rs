//! What a leader leaves behind when it is killed, in the middle of a line or after an answer that
//! nobody wrote down, and how its successor settles it.

use std::sync::Arc;

use rds_csi::domain::id::VolumeId;
use rds_csi::sim::gate::{Breakpoints, Held};
use rds_csi::sim::observer::What;

use crate::bed::{until, within};
use crate::deposit::{Place, ended, is_at, places};
use crate::leader::{GRACE, Leader};
use crate::town::Town;

const A: &str = "node-a";
const B: &str = "node-b";

/// How many sessions have ended.
fn ends(town: &Town) -> usize {
    let log = town.bed.world().log(0);
    let ended = |what: &What| matches!(what, What::SessionEnded { .. });
    log.iter().filter(|entry| ended(&entry.what)).count()
}

#[tokio::test]
async fn a_told_pair_is_answered_as_it_stands_and_costs_no_session() {
    let town = Town::new().await;
    let mut leader = town.leader(1).await;
    let id = leader.create(&town, "v").await;
    let told = leader.attach(&town, &id, A).await;
    for epoch in [2, 3] {
        drop(leader);
        leader = town.leader(epoch).await;
        assert_eq!(leader.publish(&id, A).await.unwrap(), told);
        leader.passes(&town, &id, 2).await;
        town.write(A, &id);
        assert_eq!(ends(&town), 0);
        assert_eq!(leader.reasons(&id), [""; 0], "nothing happened");
    }
}

#[tokio::test]
async fn a_pair_that_nobody_wrote_down_is_opened_anew_and_once_only() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let id = first.create(&town, "v").await;
    town.want(&id, A);
    let told = first.publish(&id, A).await.unwrap();
    // Somebody connects under it, who knows how.
    town.stage(A, &id, &told);
    drop(first);
    let leader = town.lazy_leader(2).await;
    assert_eq!(ends(&town), 0, "a take-over alone cuts nobody");
    assert_eq!(leader.publish(&id, A).await.unwrap(), told);
    assert_eq!(ends(&town), 1, "whoever was there is out");
    assert!(town.reconnects(A));
    assert_eq!(leader.publish(&id, A).await.unwrap(), told);
    town.write(A, &id);
    assert_eq!(ends(&town), 1);
    town.bed.assert_one_writer("untold");
}

/// A publish to `node-a` whose leader is killed while its line stands at `place`.
async fn killed(town: &Town, leader: Leader, id: &VolumeId, place: Place) -> (Held, u64) {
    let gate = Arc::new(Breakpoints::default());
    let held = gate.hold(is_at(place, &[id.as_str(), ":node-a:"]));
    town.bed.world().set_gate(Some(gate));
    let kill = async {
        let line = within(held.arrived()).await.line;
        leader.replica.volumes.cut("killed");
        line
    };
    let (answer, line) = tokio::join!(leader.publish(id, A), kill);
    answer.unwrap_err();
    town.bed.world().set_gate(None);
    (held, line)
}

#[tokio::test]
async fn a_publish_cut_at_any_step_is_carried_through_by_the_next_leader() {
    let town = Town::new().await;
    let mut epoch = 0;
    for place in places(3) {
        epoch += 2;
        let case = format!("{place:?}");
        let first = town.lazy_leader(epoch).await;
        let id = first.create(&town, &case).await;
        town.want(&id, A);
        let (held, line) = killed(&town, first, &id, place).await;
        held.abandon();
        ended(&town.bed, line).await;
        let leader = town.leader(epoch + 1).await;
        let told = leader.publish(&id, A).await.expect(&case);
        town.attached(&id, A, &told);
        town.stage(A, &id, &told);
        leader.passes(&town, &id, 1).await;
        town.write(A, &id);
        leader.detach(&town, &id, A).await;
    }
    town.bed.assert_one_writer("half-way");
}

#[tokio::test]
async fn a_publish_cut_at_any_step_that_nobody_asks_for_again_is_taken_back_even_if_it_goes_on_late() {
    let town = Town::new().await;
    let mut stopped = Vec::new();
    let mut epoch = 0;
    for place in places(3) {
        epoch += 1;
        let leader = town.lazy_leader(epoch).await;
        let id = leader.create(&town, &format!("{place:?}")).await;
        town.want(&id, A);
        let (held, line) = killed(&town, leader, &id, place).await;
        town.forget(&id, A);
        stopped.push((id, held, line));
    }
    let leader = town.leader(epoch + 1).await;
    let ids: Vec<VolumeId> = stopped.iter().map(|(id, ..)| id.clone()).collect();
    // Half of them go to another node before the late half of the line is run.
    for id in ids.iter().step_by(2) {
        leader.attach(&town, id, B).await;
    }
    for (_, held, line) in stopped {
        held.release();
        ended(&town.bed, line).await;
    }
    for id in ids.iter().step_by(2) {
        leader.passes(&town, id, 2).await;
        assert!(town.reconnects(B));
        town.write(B, id);
    }
    for id in ids.iter().skip(1).step_by(2) {
        leader.passes(&town, id, 2).await;
    }
    town.bed.clock.advance(GRACE);
    for id in ids.iter().skip(1).step_by(2) {
        until("it is free again", || town.is_free(id)).await;
    }
    town.bed.assert_one_writer("late");
}
