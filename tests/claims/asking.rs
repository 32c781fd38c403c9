//! A node asks for what another one holds, or is said to hold: who gets it, who is refused, and what
//! people are told.

use rds_csi::domain::error::{Effect, Kind};
use rds_csi::domain::event::What;
use rds_csi::domain::id::VolumeId;
use rds_csi::sim::kubernetes::Verb;

use crate::bed::until;
use crate::scene::{GONE, OFF, Reg, Scene, Va, scene};
use crate::town::{ATTACHMENTS, Town};

const A: &str = "node-a";
const B: &str = "node-b";
const C: &str = "node-c";

/// What comes of a Publish to `node-b`.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// A pair that nobody has seen before.
    Fresh,
    /// The pair that its VolumeAttachment has.
    AsTold,
    Refused(Kind),
}

#[tokio::test]
async fn a_node_that_asks_gets_what_its_holder_has_no_right_to_and_nothing_else() {
    use Reg::{Free, Garbage, Granted, Prepared, Stray};
    use Va::{Attached, Leaves, Left, New, Spent, Wants};
    let held = || Answer::Refused(Kind::AttachedElsewhere);
    let rows = [
        (scene(Free, [Wants(B)]), Answer::Fresh),
        (scene(Free, []), Answer::Fresh),
        (scene(Granted(B), [Wants(B)]), Answer::AsTold),
        (scene(Granted(B), [Attached(B)]), Answer::AsTold),
        (scene(Prepared(B), [Attached(B)]), Answer::AsTold),
        (scene(Prepared(B), [Wants(B)]), Answer::Fresh),
        // The holder has an attachment, whatever it says.
        (scene(Granted(A), [Attached(A), Wants(B)]), held()),
        (scene(Granted(A), [Wants(A), Wants(B)]), held()),
        (scene(Granted(A), [New(A), Wants(B)]), held()),
        (scene(Granted(A), [Leaves(A), Wants(B)]), held()),
        (scene(Prepared(A), [Leaves(A), Wants(B)]), held()),
        (scene(Granted(OFF), [Attached(OFF), Wants(B)]), held()),
        // It has none, or its machine is gone.
        (scene(Granted(A), [Wants(B)]), Answer::Fresh),
        (scene(Granted(A), [Left(A), Wants(B)]), Answer::Fresh),
        (scene(Granted(OFF), [Leaves(OFF), Wants(B)]), Answer::Fresh),
        (
            scene(Granted(GONE), [Attached(GONE), Wants(B)]),
            Answer::Fresh,
        ),
        (
            scene(Granted(GONE), [Leaves(GONE), Wants(B)]),
            Answer::Fresh,
        ),
        // The asking node goes on using the names that it was told.
        (scene(Granted(A), [Attached(B)]), Answer::AsTold),
        (scene(Stray, [Attached(B)]), Answer::AsTold),
        (scene(Free, [Attached(B)]), Answer::AsTold),
        // Unless they had their chance: then there is nothing left to break.
        (scene(Free, [Spent(B)]), Answer::Fresh),
        (scene(Garbage, [Wants(B)]), Answer::Refused(Kind::InUse)),
    ];
    let town = Town::new().await;
    let ids = Scene::set(&town, rows.iter().map(|row| &row.0)).await;
    let leader = town.lazy_leader(2).await;
    for ((scene, expected), id) in rows.iter().zip(&ids) {
        check(&town, &leader, id, scene, expected).await;
    }
}

#[tokio::test]
async fn what_drifts_while_a_leader_serves_is_answered_by_the_same_table() {
    use Reg::{Free, Granted, Other, Prepared, Stray};
    use Va::{Attached, Wants};
    let rows = [
        (scene(Granted(A), [Attached(B)]), Answer::AsTold),
        (scene(Other(B), [Attached(B)]), Answer::AsTold),
        (scene(Prepared(B), [Attached(B)]), Answer::AsTold),
        (scene(Free, [Attached(B)]), Answer::AsTold),
        (scene(Stray, [Attached(B)]), Answer::AsTold),
        // What stands there was written late, and told to nobody.
        (scene(Granted(A), [Wants(A), Attached(B)]), Answer::AsTold),
    ];
    let town = Town::new().await;
    // Nothing is wrong when the leader begins.
    let begins = rows.iter().map(|(scene, _)| Scene {
        register: Granted(B),
        ..scene.clone()
    });
    let ids = Scene::set(&town, &begins.collect::<Vec<_>>()).await;
    let leader = town.lazy_leader(2).await;
    for ((scene, expected), id) in rows.iter().zip(&ids) {
        let (subsystem, host, exported) = scene.register.of(id);
        town.by_hand(id, &subsystem, &host, exported).await;
        check(&town, &leader, id, scene, expected).await;
    }
}

async fn check(
    town: &Town,
    leader: &crate::leader::Leader,
    id: &VolumeId,
    scene: &Scene,
    expected: &Answer,
) {
    let answer = leader.publish(id, B).await;
    let found = match &answer {
        Err(error) => Answer::Refused(error.kind()),
        Ok(told) => {
            assert!(town.grants(id, told), "{scene:?}: {told:?}");
            let (subsystem, host, _) = Reg::Granted(B).of(id);
            if (&told["nvme_nqn"], &told["nvme_hostnqn"]) == (&subsystem, &host) {
                Answer::AsTold
            } else {
                Answer::Fresh
            }
        }
    };
    assert_eq!(&found, expected, "{scene:?}: {answer:?}");
    if found == Answer::Refused(Kind::AttachedElsewhere) {
        assert!(scene.register.stands(town, id), "{scene:?}");
        let (Reg::Granted(holder) | Reg::Prepared(holder)) = scene.register else {
            panic!("nobody holds {scene:?}");
        };
        let error = answer.unwrap_err();
        assert!(error.context().contains(holder), "{error}");
        let conflict = What::AttachmentConflict {
            volume: id.clone(),
            holder: holder.to_owned(),
            asking: B.parse().unwrap(),
        };
        assert_eq!(leader.told(id), [conflict], "{scene:?}");
    }
}

#[tokio::test]
async fn people_read_of_a_conflict_on_the_claim_with_both_nodes_and_what_to_do() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let id = leader.create(&town, "v").await;
    leader.attach(&town, &id, A).await;
    leader.publish(&id, B).await.unwrap_err();
    let conflict = || {
        let mut events = town.events(&id).into_iter();
        events.find_map(|(reason, message)| (reason == "AttachmentConflict").then_some(message))
    };
    until("the event is on the claim", || conflict().is_some()).await;
    let message = conflict().unwrap();
    assert!(message.contains(A) && message.contains(B), "{message}");
    assert!(message.contains("out-of-service"), "{message}");
    town.write(A, &id);
    town.bed.assert_one_writer("conflict");
}

#[tokio::test]
async fn nothing_changes_hands_while_the_api_cannot_say_who_has_a_claim() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let id = leader.create(&town, "v").await;
    let told = leader.attach(&town, &id, A).await;
    // An orphan, were there anybody to say so.
    town.forget(&id, A);
    town.want(&id, B);
    for resource in [ATTACHMENTS, "nodes"] {
        town.refuse(Verb::List, resource);
        town.refuse(Verb::Get, resource);
        if resource == "nodes" {
            town.want(&id, A);
        }
        let error = leader.publish(&id, B).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{resource}: {error}");
        assert_eq!(error.effect(), Effect::None, "{resource}: {error}");
        assert!(town.grants(&id, &told), "{resource}");
        town.api.faults().clear();
    }
    town.refuse(Verb::Get, ATTACHMENTS);
    town.refuse(Verb::List, ATTACHMENTS);
    town.unwant(&id, A);
    let error = leader.unpublish(&id, A).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(town.grants(&id, &told));
    town.write(A, &id);
    town.api.faults().clear();
    leader.unpublish(&id, A).await.unwrap();
    assert!(town.is_free(&id));
    town.bed.assert_one_writer("API errors");
}

#[tokio::test]
async fn a_node_that_no_plugin_has_reported_does_not_exist() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let id = leader.create(&town, "v").await;
    let error = leader.publish(&id, "node-x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert!(error.context().contains("node-x"), "{error}");
    assert!(town.is_free(&id));
    // Its plugin has started since.
    town.node("node-x");
    leader.attach(&town, &id, "node-x").await;
    // Whoever cannot ask does not know.
    town.refuse(Verb::List, "csinodes");
    let error = leader.publish(&id, "node-y").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn an_unpublish_of_an_attachment_that_is_wanted_is_out_of_date_and_changes_nothing() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let id = leader.create(&town, "v").await;
    leader.attach(&town, &id, A).await;
    leader.detach(&town, &id, A).await;
    let told = leader.attach(&town, &id, A).await;
    let register = town.register(&id);
    for all in [false, true] {
        let late = if all {
            leader.replica.unpublish_all(&id).await
        } else {
            leader.unpublish(&id, A).await
        };
        let error = late.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None));
        assert_eq!(town.register(&id), register);
    }
    // A node without a claim has nothing to lose.
    leader.unpublish(&id, B).await.unwrap();
    assert!(town.grants(&id, &told));
    town.write(A, &id);
    // Wanted no more, from whichever node it was.
    town.unwant(&id, A);
    leader.replica.unpublish_all(&id).await.unwrap();
    assert!(town.is_free(&id));
    town.forget(&id, A);
    leader.attach(&town, &id, C).await;
    town.bed.assert_one_writer("late unpublish");
}

#[tokio::test]
async fn a_volume_that_the_rds_does_not_have_is_not_found_and_detached() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    let (id, other) = (
        leader.create(&town, "v").await,
        leader.create(&town, "w").await,
    );
    leader.attach(&town, &id, A).await;
    town.bed
        .by_hand(&format!("/disk remove [find where slot=\"{id}\"]"))
        .await;
    for epoch in [2, 3] {
        let leader = town.leader(epoch).await;
        let error = leader.publish(&id, A).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        if epoch == 2 {
            town.unwant(&id, A);
        }
        leader.unpublish(&id, A).await.unwrap();
        assert_eq!(leader.reasons(&id), [""; 0]);
    }
    leader.attach(&town, &other, B).await;
}
