//! The RDS comes back with an older state while a leader serves: before anything else is answered,
//! what was lost since is back, and what was revoked since is revoked.

use rds_csi::domain::claim::Attachment;
use rds_csi::domain::error::Kind;
use rds_csi::ports::Backend as _;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::sim::transport;

use crate::bed::{Knobs, until, within};
use crate::leader::Leader;
use crate::town::{ATTACHMENTS, DRIVER, Town};

const A: &str = "node-a";
const B: &str = "node-b";
const C: &str = "node-c";

async fn restore(town: &Town, leader: &Leader, snapshot: usize) {
    let before = leader.replica.backend.incarnation();
    town.bed.restore(snapshot);
    within(leader.replica.backend.restarted(before)).await;
}

#[tokio::test]
async fn every_volume_is_as_its_claims_say_before_any_is_served() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let create = async |name| leader.create(&town, name).await;
    let (lost, stale, moved, again) = (
        create("lost").await,
        create("stale").await,
        create("moved").await,
        create("again").await,
    );
    let mut old = Vec::new();
    for id in [&stale, &moved, &again] {
        old.push(leader.attach(&town, id, A).await);
    }
    let snapshot = town.bed.sim.snapshot();
    for id in [&stale, &moved, &again] {
        leader.detach(&town, id, A).await;
    }
    let lost_told = leader.attach(&town, &lost, A).await;
    let moved_told = leader.attach(&town, &moved, B).await;
    let again_told = leader.attach(&town, &again, A).await;

    restore(&town, &leader, snapshot).await;
    leader.replica.ready().await;
    assert!(town.is_free(&stale));
    for (id, node, told) in [
        (&lost, A, &lost_told),
        (&moved, B, &moved_told),
        (&again, A, &again_told),
    ] {
        assert!(town.grants(id, told), "{node}");
        assert!(leader.reasons(id).contains(&"GrantRepaired"), "{node}");
        assert!(town.reconnects(node));
        town.write(node, id);
        assert_eq!(&leader.publish(id, node).await.unwrap(), told);
    }
    for told in &old {
        town.bed.machine(A).connect_only(told).unwrap_err();
    }
    town.want(&stale, C);
    leader.attach(&town, &stale, C).await;
    town.bed.assert_one_writer("restored");
}

#[tokio::test]
async fn a_volume_that_cannot_be_repaired_holds_up_no_other() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let (bad, good) = (
        leader.create(&town, "bad").await,
        leader.create(&town, "good").await,
    );
    let snapshot = town.bed.sim.snapshot();
    let bad_told = leader.attach(&town, &bad, A).await;
    let good_told = leader.attach(&town, &good, B).await;
    // What is about to be sent cannot be put on record.
    let on = Matcher {
        name: Some(Attachment::name_of(&bad, DRIVER, A)),
        ..Matcher::of(Verb::Patch, ATTACHMENTS)
    };
    let fault = Fault::Error { code: 503 };
    town.api.faults().add(Rule::always(fault, on));
    restore(&town, &leader, snapshot).await;
    leader.replica.ready().await;
    assert!(town.grants(&good, &good_told));
    assert!(town.reconnects(B));
    town.write(B, &good);
    for node in [A, B] {
        let refused = leader.publish(&bad, node).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable, "{refused}");
    }
    leader.passes(&town, &bad, 2).await;
    assert!(town.is_free(&bad));
    town.api.faults().clear();
    until("it is back", || town.grants(&bad, &bad_told)).await;
    until("it is served", || town.reconnects(A)).await;
    town.write(A, &bad);
    town.bed.assert_one_writer("one bad volume");
}

#[tokio::test]
async fn a_line_that_may_have_brought_a_pair_back_is_never_sent_again() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create(&town, "v").await;
    let snapshot = town.bed.sim.snapshot();
    let told = leader.attach(&town, &id, A).await;
    // A name is not written in one piece.
    let (_, random) = told["nvme_nqn"].rsplit_once('-').unwrap();
    let dropped = transport::Rule::next(transport::Fault::DropBefore, random);
    town.bed.sim.faults().add(dropped);
    restore(&town, &leader, snapshot).await;
    leader.replica.ready().await;
    assert!(leader.reasons(&id).contains(&"GrantLost"));
    leader.passes(&town, &id, 2).await;
    assert!(town.is_free(&id) && !town.reconnects(A));
    leader.detach(&town, &id, A).await;
    leader.attach(&town, &id, B).await;
    town.bed.assert_one_writer("a line that was lost");
}

#[tokio::test]
async fn two_attached_nodes_and_no_grant_freeze_one_volume_until_one_is_let_go() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let (frozen, other) = (
        first.create(&town, "frozen").await,
        first.create(&town, "other").await,
    );
    let snapshot = town.bed.sim.snapshot();
    let told = first.attach(&town, &frozen, A).await;
    // Whoever wrote this into the API, the RDS does not say which is right.
    town.want(&frozen, B);
    let mut another = told.clone();
    another.insert("nvme_nqn".to_owned(), format!("{}0", told["nvme_nqn"]));
    town.attached(&frozen, B, &another);
    drop(first);
    town.bed.restore(snapshot);
    let leader = town.leader(2).await;
    for node in [A, B] {
        let refused = leader.publish(&frozen, node).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable, "{refused}");
        let why = refused.context();
        assert!(why.contains(A) && why.contains(B), "{why}");
    }
    leader.passes(&town, &frozen, 2).await;
    assert!(town.is_free(&frozen));
    leader.attach(&town, &other, B).await;
    // One is deleted: external-attacher lets go of it.
    leader.detach(&town, &frozen, B).await;
    until("the other has it", || town.grants(&frozen, &told)).await;
    assert!(town.reconnects(A));
    assert_eq!(leader.publish(&frozen, A).await.unwrap(), told);
    town.bed.assert_one_writer("frozen");
}

#[tokio::test]
async fn a_leader_that_has_read_nothing_answers_nothing() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let id = first.create(&town, "v").await;
    let told = first.attach(&town, &id, A).await;
    drop(first);
    town.bed.sim.server().refuse_connects().await;
    let leader = town.start(2, Knobs::default().run);
    let refused = [
        leader.publish(&id, A).await.unwrap_err(),
        leader.publish(&id, B).await.unwrap_err(),
        leader.unpublish(&id, A).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    }
    assert!(town.grants(&id, &told));
    town.bed.sim.server().accept_connects().unwrap();
    leader.replica.ready().await;
    assert_eq!(leader.publish(&id, A).await.unwrap(), told);
}
