//! Raw block volumes that two nodes may have, for live migration: who is let in beside whom, who stays
//! in, and when everybody is out. That two of them write at once is the purpose, and nobody else does.

use rds_csi::domain::access::{Access, AccessType, FsType, Mode};
use rds_csi::domain::error::Kind;
use rds_csi::domain::event::What;
use rds_csi::domain::id::VolumeId;

use crate::bed::until;
use crate::leader::Leader;
use crate::scene::GONE;
use crate::town::Town;

const A: &str = "node-a";
const B: &str = "node-b";
const C: &str = "node-c";

/// Nobody wrote beside another but those, on this volume, at any time.
#[track_caller]
fn only_together(town: &Town, id: &VolumeId, pairs: &[(&str, &str)]) {
    let world = town.bed.world();
    let mut seen: Vec<(String, String)> = Vec::new();
    for overlap in world.second_writers() {
        assert!(overlap.backing.contains(id.as_str()), "{overlap:?}");
        let mut both = [overlap.first.machine, overlap.second.machine].map(|name| name.to_string());
        both.sort();
        let [first, second] = both;
        seen.push((first, second));
    }
    seen.sort();
    seen.dedup();
    let expected = pairs
        .iter()
        .map(|(one, two)| ((*one).to_owned(), (*two).to_owned()));
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!(world.replayed_writes(), []);
}

fn live(town: &Town, node: &str) -> bool {
    let sessions = town.bed.world().sessions();
    sessions.iter().any(|session| &*session.machine == node)
}

#[tokio::test]
async fn two_nodes_share_one_pair_and_both_write_until_the_last_has_left() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    let told = leader.attach_shared(&town, &id, A).await;
    assert_eq!(leader.share(&id, A).await.unwrap(), told, "asked again");
    assert_eq!(leader.attach_shared(&town, &id, B).await, told, "one pair");
    for node in [A, B] {
        town.write(node, &id);
        assert_eq!(leader.share(&id, node).await.unwrap(), told, "asked again");
    }
    leader.passes(&town, &id, 2).await;
    assert_eq!(leader.published(&id).await, [A, B]);

    // The source leaves; it is not fenced before the target has left too.
    town.unwant(&id, A);
    leader.unpublish(&id, A).await.unwrap();
    leader.unpublish(&id, A).await.unwrap();
    town.forget(&id, A);
    assert!(live(&town, A) && town.grants(&id, &told));
    town.write(B, &id);
    leader.passes(&town, &id, 2).await;
    assert_eq!(leader.published(&id).await, [B]);
    leader.detach(&town, &id, B).await;
    assert!(leader.published(&id).await.is_empty());
    assert!(!live(&town, A) && town.is_free(&id));
    town.bed.machine(A).connect_only(&told).unwrap_err();
    assert_eq!(
        leader.reasons(&id),
        [
            "VolumeAttached",
            "MigrationStarted",
            "MigrationCompleted",
            "VolumeDetached"
        ]
    );
    only_together(&town, &id, &[(A, B)]);
}

#[tokio::test]
async fn a_target_that_gives_up_leaves_the_source_as_it_was() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    let told = leader.attach_shared(&town, &id, A).await;
    leader.attach_shared(&town, &id, B).await;
    leader.detach(&town, &id, B).await;
    town.write(A, &id);
    assert!(town.grants(&id, &told));
    let failed = What::MigrationFailed {
        volume: id.clone(),
        left: B.parse().unwrap(),
        kept: A.to_owned(),
    };
    assert_eq!(leader.told(&id).last(), Some(&failed));
    // Who was never there leaves nothing.
    let before = leader.told(&id);
    leader.unpublish(&id, B).await.unwrap();
    leader.unpublish(&id, C).await.unwrap();
    assert_eq!(leader.told(&id), before);
    // The next try goes as the first.
    leader.attach_shared(&town, &id, C).await;
    leader.detach(&town, &id, A).await;
    town.write(C, &id);
    only_together(&town, &id, &[(A, B), (A, C)]);
}

#[tokio::test]
async fn a_third_node_is_refused_and_told_who_is_there_also_by_the_next_leader() {
    let town = Town::new().await;
    let mut leader = town.leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    let told = leader.attach_shared(&town, &id, A).await;
    leader.attach_shared(&town, &id, B).await;
    town.want(&id, C);
    let sessions = town.bed.world().sessions();
    for epoch in [2, 3] {
        let error = leader.share(&id, C).await.unwrap_err();
        assert_eq!(error.kind(), Kind::AttachedElsewhere, "{error}");
        assert!(
            error.context().contains(A) && error.context().contains(B),
            "{error}"
        );
        let conflict = leader.reasons(&id).last().copied();
        assert_eq!(conflict, Some("AttachmentConflict"));
        // A change of leaders costs nobody a session, and answers are as they were.
        drop(leader);
        leader = town.leader(epoch).await;
        for node in [A, B] {
            assert_eq!(leader.share(&id, node).await.unwrap(), told);
        }
        leader.passes(&town, &id, 2).await;
        assert_eq!(town.bed.world().sessions(), sessions);
    }
    leader.detach(&town, &id, A).await;
    assert_eq!(leader.share(&id, C).await.unwrap(), told);
    only_together(&town, &id, &[(A, B)]);
}

#[tokio::test]
async fn of_three_that_come_at_once_two_get_in() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    for node in [A, B, C] {
        town.want(&id, node);
    }
    let mut let_in = 0;
    for node in [A, B, C, A, B, C] {
        if let Ok(told) = leader.share(&id, node).await {
            town.attached(&id, node, &told);
        }
    }
    for node in [A, B, C] {
        let_in += usize::from(leader.share(&id, node).await.is_ok());
    }
    assert_eq!(let_in, 2);
}

#[tokio::test]
async fn a_source_whose_node_is_gone_is_fenced_before_another_takes_its_place() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    let old = leader.attach_shared(&town, &id, A).await;
    town.lose_node(A);
    let new = leader.attach_shared(&town, &id, B).await;
    assert_ne!(new, old);
    assert!(!live(&town, A), "fenced");
    town.bed.machine(A).connect_only(&old).unwrap_err();
    let reasons = ["VolumeAttached", "StaleAttachmentCleared", "VolumeAttached"];
    assert_eq!(leader.reasons(&id), reasons);
    // The node comes back: as a new target.
    town.node(A);
    assert_eq!(leader.share(&id, A).await.unwrap(), new);
    only_together(&town, &id, &[]);
}

#[tokio::test]
async fn a_node_that_is_gone_makes_room_and_takes_nothing_from_the_other() {
    let town = Town::new().await;
    town.node(GONE);
    let leader = town.leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    let told = leader.attach_shared(&town, &id, A).await;
    leader.attach_shared(&town, &id, GONE).await;
    town.lose_node(GONE);
    leader.passes(&town, &id, 2).await;
    town.bed.clock.advance(crate::leader::GRACE);
    leader.passes(&town, &id, 2).await;
    assert!(town.grants(&id, &told));
    town.write(A, &id);
    assert_eq!(leader.attach_shared(&town, &id, C).await, told);
    // The last that can be asked leaves, and everybody is out.
    leader.detach(&town, &id, A).await;
    leader.detach(&town, &id, C).await;
    assert!(town.is_free(&id) && town.bed.world().sessions().is_empty());
    only_together(&town, &id, &[(GONE, A), (GONE, C), (A, C)]);
}

#[tokio::test]
async fn from_every_node_means_all_that_share() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    leader.attach_shared(&town, &id, A).await;
    leader.attach_shared(&town, &id, B).await;
    town.unwant(&id, A);
    let error = leader.replica.unpublish_all(&id).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Busy, "{B} is wanted: {error}");
    assert!(live(&town, A) && live(&town, B));
    town.unwant(&id, B);
    leader.replica.unpublish_all(&id).await.unwrap();
    assert!(town.is_free(&id) && town.bed.world().sessions().is_empty());
    only_together(&town, &id, &[(A, B)]);
}

#[tokio::test]
async fn one_writer_and_several_do_not_mix() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let (one, many) = (
        leader.create(&town, "one").await,
        leader.create_shared(&town, "many").await,
    );
    leader.attach(&town, &one, A).await;
    leader.attach_shared(&town, &many, A).await;
    for (id, node) in [(&one, B), (&many, B)] {
        town.want(id, node);
    }
    let rows = [
        (leader.share(&one, A).await, Kind::Incompatible),
        (leader.share(&one, B).await, Kind::AttachedElsewhere),
        (leader.publish(&many, A).await, Kind::Incompatible),
        (leader.publish(&many, B).await, Kind::AttachedElsewhere),
    ];
    for (answer, expected) in rows {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
    }
    for id in [&one, &many] {
        town.write(A, id);
    }
    let fs_type = FsType::Ext4;
    let mixed = Access::new(Mode::MultiNodeMultiWriter, AccessType::Mount { fs_type });
    assert!(mixed.is_err(), "a filesystem is for one node");
    only_together(&town, &one, &[]);
}

/// The RDS comes back with a state from before the volume was shared.
#[tokio::test]
async fn a_shared_grant_that_the_rds_forgot_comes_back_for_both() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create_shared(&town, "v").await;
    let snapshot = town.bed.sim.snapshot();
    let told = leader.attach_shared(&town, &id, A).await;
    leader.attach_shared(&town, &id, B).await;
    restore(&town, &leader, snapshot).await;
    until("the grant is back", || town.grants(&id, &told)).await;
    for node in [A, B] {
        assert!(town.reconnects(node), "{node}");
        town.write(node, &id);
        assert_eq!(leader.share(&id, node).await.unwrap(), told);
    }
    only_together(&town, &id, &[(A, B)]);
}

async fn restore(town: &Town, leader: &Leader, snapshot: usize) {
    use rds_csi::ports::Backend as _;
    let before = leader.replica.backend.incarnation();
    town.bed.restore(snapshot);
    leader.replica.reread(before).await;
}
