//! A node that was cut off may have writes queued. They wait for the names that it was told, so those
//! must never come back once another node has had the volume: not by reconcilers, not by the next
//! leader, and not although its VolumeAttachment says to this day that the volume is attached.

use rds_csi::domain::error::Kind;
use rds_csi::domain::id::VolumeId;
use rds_csi::sim::initiator::Written;
use rds_csi::sim::kubernetes::Verb;
use serde_json::json;

use crate::leader::{GRACE, Leader};
use crate::scene::Reg;
use crate::town::{ATTACHMENTS, Town, names, told};

const A: &str = "node-a";
const B: &str = "node-b";

/// A volume on `node-a`, which has lost its way to the RDS in the middle of a write.
async fn stuck(town: &Town, leader: &Leader) -> VolumeId {
    let id = leader.create(town, "v").await;
    leader.attach(town, &id, A).await;
    let machine = town.bed.machine(A);
    machine.partition(true);
    machine.give_up_sessions();
    assert_eq!(machine.write(id.as_str()), Written::Queued);
    id
}

/// `node-b` has the volume for a while, then `node-a` finds its way again.
async fn comes_and_goes(town: &Town, leader: &Leader, id: &VolumeId) {
    leader.attach(town, id, B).await;
    town.write(B, id);
    leader.detach(town, id, B).await;
}

/// Everything that could bring the names back is given its chance.
async fn stays_out(town: &Town, leader: Leader, id: &VolumeId, case: &str) {
    town.node(A);
    let content = town.bed.content(id);
    drop(leader);
    let next = town.leader(9).await;
    next.passes(town, id, 2).await;
    let machine = town.bed.machine(A);
    machine.partition(false);
    assert!(!town.reconnects(A), "{case}: {:?}", town.register(id));
    assert_eq!(town.bed.content(id), content, "{case}: the bytes of {B}");
    town.bed.assert_one_writer(case);
    // The way out: detached and attached anew.
    next.detach(town, id, A).await;
    next.attach(town, id, A).await;
    town.bed.assert_one_writer(case);
}

#[tokio::test]
async fn a_node_that_was_deleted_and_made_again_does_not_get_back_what_another_had_since() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = stuck(&town, &leader).await;
    town.lose_node(A);
    comes_and_goes(&town, &leader, &id).await;
    town.node(A);
    leader.passes(&town, &id, 2).await;
    stays_out(&town, leader, &id, "node made again").await;
}

#[tokio::test]
async fn a_deleted_node_whose_grant_the_rds_lost_does_not_get_it_back_either() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let id = stuck(&town, &first).await;
    drop(first);
    town.lose_node(A);
    let (subsystem, host, exported) = Reg::Free.of(&id);
    town.by_hand(&id, &subsystem, &host, exported).await;
    let leader = town.leader(2).await;
    comes_and_goes(&town, &leader, &id).await;
    town.node(A);
    leader.passes(&town, &id, 2).await;
    stays_out(&town, leader, &id, "lost, and node made again").await;
}

#[tokio::test]
async fn a_grant_that_was_given_up_for_another_claim_stays_given_up_when_that_is_gone() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let id = stuck(&town, &first).await;
    drop(first);
    let (subsystem, host, exported) = Reg::Free.of(&id);
    town.by_hand(&id, &subsystem, &host, exported).await;
    // It was told something once, and nobody says that it may not be using that.
    let names = names(&id, B, 1);
    town.want(&id, B);
    town.attached(&id, B, &told(&names));
    town.edit(&id, B, |object| object["status"]["attached"] = json!(false));
    let leader = town.leader(2).await;
    assert!(leader.reasons(&id).contains(&"GrantLost"));
    town.forget(&id, B);
    comes_and_goes(&town, &leader, &id).await;
    stays_out(&town, leader, &id, "given up").await;
}

#[tokio::test]
async fn a_claim_that_only_asks_does_not_keep_a_lost_grant_from_coming_back() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let id = leader.create(&town, "v").await;
    let told = leader.attach(&town, &id, A).await;
    let (subsystem, host, exported) = Reg::Free.of(&id);
    town.by_hand(&id, &subsystem, &host, exported).await;
    town.want(&id, B);
    let refused = leader.publish(&id, B).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{refused}");
    assert!(town.grants(&id, &told), "{:?}", town.register(&id));
}

#[tokio::test]
async fn of_two_attached_nodes_the_one_without_the_grant_never_gets_its_old_names_back() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let id = stuck(&town, &first).await;
    // The observer saw the other one come; no leader that lives did.
    let attachment = town.attachment(&id, A);
    town.forget(&id, A);
    first.attach(&town, &id, B).await;
    drop(first);
    town.want(&id, A);
    town.edit(&id, A, |object| {
        object["status"] = attachment["status"].clone();
    });
    let leader = town.leader(2).await;
    leader.detach(&town, &id, B).await;
    leader.passes(&town, &id, 2).await;
    stays_out(&town, leader, &id, "two attached").await;
}

#[tokio::test]
async fn a_node_with_a_claim_is_not_cut_off_before_that_is_on_record() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create(&town, "v").await;
    let told = leader.attach(&town, &id, A).await;
    town.lose_node(A);
    town.refuse(Verb::Patch, ATTACHMENTS);
    let refused = leader.publish(&id, B).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable, "{refused}");
    town.bed.clock.advance(GRACE);
    leader.passes(&town, &id, 2).await;
    assert!(town.grants(&id, &told));
    town.write(A, &id);
    town.api.faults().clear();
    leader.attach(&town, &id, B).await;
    assert_eq!(town.remade(&id, A).as_ref(), Some(&told["nvme_nqn"]));
    town.bed.assert_one_writer("no record");
}
