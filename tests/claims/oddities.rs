//! VolumeAttachments, volumes and nodes that are not as they should be: what can be resolved is
//! served, what cannot blocks its own volume, and nothing is deleted.

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use rds_csi::domain::error::Kind;
use serde_json::json;

use crate::leader::GRACE;
use crate::town::Town;

const A: &str = "node-a";
const B: &str = "node-b";

#[tokio::test]
async fn an_attachment_without_its_volume_object_counts_by_its_name() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let (held, lost) = (
        first.create(&town, "held").await,
        first.create(&town, "lost").await,
    );
    let snapshot = town.bed.sim.snapshot();
    let held_told = first.attach(&town, &held, A).await;
    drop(first);
    // The second one is attached after the state that comes back.
    let first = town.lazy_leader(2).await;
    let lost_told = first.attach(&town, &lost, A).await;
    for id in [&held, &lost] {
        town.lose_volume(id);
    }
    drop(first);
    town.bed.restore(snapshot);
    let leader = town.leader(3).await;
    for (id, told) in [(&held, &held_told), (&lost, &lost_told)] {
        assert!(town.grants(id, told));
        assert!(town.reconnects(A));
        town.write(A, id);
        let refused = leader.publish(id, B).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{refused}");
        let early = leader.unpublish(id, A).await.unwrap_err();
        assert_eq!(early.kind(), Kind::Busy, "{early}");
    }
    town.bed.clock.advance(GRACE);
    leader.passes(&town, &held, 2).await;
    assert!(town.grants(&held, &held_told), "no orphan");
    leader.detach(&town, &held, A).await;
    assert!(town.is_free(&held));
    town.bed.assert_one_writer("no PersistentVolume");
}

#[tokio::test]
async fn a_row_that_cannot_be_resolved_blocks_its_volume_until_it_can() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let (bad, good) = (
        first.create(&town, "bad").await,
        first.create(&town, "good").await,
    );
    first.attach(&town, &bad, A).await;
    drop(first);
    // An id that nobody wrote down, of a node that nobody knows.
    town.want(&bad, "nobody");
    town.edit(&bad, "nobody", |object| object["metadata"]["annotations"] = json!({}));
    let leader = town.leader(2).await;
    for node in [A, B] {
        let refused = leader.publish(&bad, node).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable, "{refused}");
        assert!(refused.context().contains("nobody"), "{refused}");
    }
    leader.attach(&town, &good, B).await;
    leader.passes(&town, &bad, 2).await;
    town.write(A, &bad);
    // Its plugin comes up.
    town.node("nobody");
    leader.passes(&town, &bad, 2).await;
    leader.publish(&bad, A).await.unwrap();
    let refused = leader.publish(&bad, B).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{refused}");
    town.bed.assert_one_writer("blocked row");
}

#[tokio::test]
async fn an_attachment_that_was_deleted_and_made_again_is_another_one() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let id = first.create(&town, "v").await;
    let old = first.attach(&town, &id, A).await;
    drop(first);
    // By force, and made again at once: of the same name, and asking for the first time.
    town.forget(&id, A);
    town.want(&id, A);
    let leader = town.leader(2).await;
    leader.passes(&town, &id, 2).await;
    let told = leader.publish(&id, A).await.unwrap();
    assert_eq!(told, old, "its own, opened anew");
    town.attached(&id, A, &told);
    assert!(town.reconnects(A));
    town.write(A, &id);
    let refused = leader.publish(&id, B).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{refused}");
    town.bed.assert_one_writer("made again");
}

#[tokio::test]
async fn of_two_that_are_deleted_each_is_let_go_and_a_third_may_come() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let id = first.create(&town, "v").await;
    first.attach(&town, &id, A).await;
    town.want(&id, B);
    first.publish(&id, B).await.unwrap_err();
    for node in [A, B] {
        town.unwant(&id, node);
    }
    drop(first);
    let leader = town.leader(2).await;
    town.want(&id, "node-c");
    let refused = leader.publish(&id, "node-c").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{refused}");
    // In whichever order: the one that has nothing takes nothing.
    leader.unpublish(&id, B).await.unwrap();
    town.forget(&id, B);
    town.write(A, &id);
    leader.unpublish(&id, A).await.unwrap();
    town.forget(&id, A);
    leader.attach(&town, &id, "node-c").await;
    town.bed.assert_one_writer("two deleted");
}

#[tokio::test]
async fn a_node_that_is_made_again_before_grace_is_over_keeps_what_it_has() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create(&town, "v").await;
    let told = leader.attach(&town, &id, A).await;
    town.lose_node(A);
    leader.passes(&town, &id, 2).await;
    town.node(A);
    town.bed.clock.advance(GRACE);
    leader.passes(&town, &id, 3).await;
    assert!(town.grants(&id, &told));
    town.write(A, &id);
    let refused = leader.publish(&id, B).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{refused}");
    town.bed.assert_one_writer("node made again");
}

#[tokio::test]
async fn volumes_and_attachments_that_belong_to_nobody_stay() {
    let town = Town::new().await;
    let first = town.lazy_leader(1).await;
    let (volume, other) = (
        first.create(&town, "volume").await,
        first.create(&town, "other").await,
    );
    first.attach(&town, &other, A).await;
    town.lose_volume(&volume);
    drop(first);
    // Of a volume that the RDS never had.
    let never = "csi-0000000000000000000000000000".parse().unwrap();
    town.want(&never, B);
    let before = (town.bed.holdings(), objects(&town));
    let leader = town.leader(2).await;
    for _ in 0..3 {
        leader.passes(&town, &volume, 2).await;
        town.bed.clock.advance(GRACE);
    }
    assert_eq!((town.bed.holdings(), objects(&town)), before);
    leader.publish(&volume, A).await.unwrap();
}

/// Names of what Kubernetes has.
fn objects(town: &Town) -> Vec<Option<String>> {
    let attachments = town.api.objects::<VolumeAttachment>().into_iter();
    let volumes = town.api.objects::<PersistentVolume>().into_iter();
    let names = attachments.map(|object| object.metadata.name);
    names.chain(volumes.map(|object| object.metadata.name)).collect()
}
