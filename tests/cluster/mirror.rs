//! What was watched: it follows, and it never shows half.

use rds_csi::domain::claim::PvcRef;
use rds_csi::k8s::cluster::KubeCluster;
use rds_csi::k8s::events::PvcLookup as _;
use rds_csi::ports::Cluster;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::Fault;
use serde_json::json;

use super::fixture::{ATTACHMENTS, Bed, name, nodes, unannotated, volume};

fn watched(cluster: &KubeCluster, digit: char) -> Vec<String> {
    let claims = cluster.watched(&volume(digit)).unwrap();
    nodes(&claims.claims)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn nothing_is_shown_before_everything_was_listed_once() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.node("one", "id-of-one");
    bed.attach_with('a', "one", unannotated);
    assert_eq!(bed.cluster.watched(&volume('a')), None);
    let bed = bed.watching().await;
    assert_eq!(watched(&bed.cluster, 'a'), ["id-of-one"]);
    assert_eq!(watched(&bed.cluster, 'b'), [""; 0]);
    let counts = bed.cluster.counts();
    let found = (
        counts.attachments,
        counts.volumes,
        counts.plugins,
        counts.nodes,
    );
    assert_eq!(found, (1, 1, 1, 1));
}

#[tokio::test]
async fn the_mirror_keeps_up_over_cut_watches_and_lost_history() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.attach('a', "one");
    let bed = bed.watching().await;
    bed.attach('a', "two");
    bed.until(|cluster| watched(cluster, 'a') == ["one", "two"])
        .await;

    bed.api.cut_watches(ATTACHMENTS);
    bed.detach('a', "one");
    bed.until(|cluster| watched(cluster, 'a') == ["two"]).await;
    assert_eq!(bed.lists(), 1, "a cut is no reason to list again");

    bed.fault(1, Fault::Hold, Verb::Watch, ATTACHMENTS);
    bed.api.cut_watches(ATTACHMENTS);
    bed.api.faults().wait_held(1).await;
    bed.detach('a', "two");
    bed.attach('a', "three");
    bed.api.compact();
    bed.api.faults().release();
    bed.until(|cluster| watched(cluster, 'a') == ["three"])
        .await;
    assert_eq!(bed.lists(), 2);
}

#[tokio::test]
async fn the_mirror_begins_although_the_api_refuses_at_first() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.attach('a', "one");
    let busy = Fault::TooManyRequests { retry_after: 1 };
    bed.fault(1, busy, Verb::List, ATTACHMENTS);
    bed.fault(
        1,
        Fault::Error { code: 500 },
        Verb::Watch,
        "persistentvolumes",
    );
    let bed = bed.watching().await;
    assert_eq!(watched(&bed.cluster, 'a'), ["one"]);
    bed.volume('b');
    bed.until(|cluster| cluster.counts().volumes == 2).await;
}

#[tokio::test]
async fn what_belongs_to_other_drivers_takes_no_room() {
    let bed = Bed::new().await;
    let theirs = json!({"csi": {"driver": "another.driver", "volumeHandle": "x"}});
    bed.volume_as('a', "theirs", &theirs);
    bed.attach_with('a', "one", |object| {
        object["spec"]["attacher"] = json!("another.driver");
    });
    let bed = bed.watching().await;
    let counts = bed.cluster.counts();
    assert_eq!((counts.attachments, counts.volumes), (0, 0));
    // What becomes another driver's under its old name goes.
    bed.volume('b');
    bed.until(|cluster| cluster.counts().volumes == 1).await;
    bed.volume_as('b', "pv-b", &theirs);
    bed.until(|cluster| cluster.counts().volumes == 0).await;
}

#[tokio::test]
async fn an_inline_volume_and_a_volume_called_like_its_handle_are_each_shown_once() {
    let bed = Bed::new().await;
    let handle = volume('a');
    bed.volume_as('a', handle.as_str(), &json!({}));
    bed.attach_with('a', "one", |object| {
        object["spec"]["source"] = json!({"persistentVolumeName": handle.as_str()});
    });
    bed.attach_with('a', "two", |object| {
        let csi = json!({"driver": super::fixture::DRIVER, "volumeHandle": handle.as_str()});
        object["spec"]["source"] = json!({"inlineVolumeSpec": {"csi": csi}});
    });
    let bed = bed.watching().await;
    assert_eq!(watched(&bed.cluster, 'a'), ["one", "two"]);
    let claims = bed.cluster.claims_on(&handle).await.unwrap();
    assert_eq!(nodes(&claims), ["one", "two"]);
    let names: Vec<_> = claims
        .into_iter()
        .map(|claim| claim.attachment.name)
        .collect();
    assert!(names.contains(&name('a', "two")), "{names:?}");
}

#[tokio::test]
async fn the_claim_of_a_volume_is_found_until_the_volume_goes() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.volume_as('b', "unclaimed", &json!({"claimRef": null}));
    let bed = bed.watching().await;
    let expected = PvcRef {
        namespace: "apps".to_owned(),
        name: "pvc-a".to_owned(),
        uid: Some("pvc-uid".to_owned()),
        volume_name: "pv-a".to_owned(),
    };
    assert_eq!(bed.cluster.pvc_of(&volume('a')), Some(expected));
    assert_eq!(bed.cluster.pvc_of(&volume('b')), None);
    bed.lose_volume('a');
    bed.until(|cluster| cluster.pvc_of(&volume('a')).is_none())
        .await;
}
