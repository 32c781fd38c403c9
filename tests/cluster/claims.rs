//! The claims on one volume, as proof for a decision.

use std::pin::pin;

use futures::future::join_all;
use rds_csi::domain::claim::Wish;
use rds_csi::domain::error::Kind;
use rds_csi::ports::Cluster;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::Fault;
use serde_json::json;

use super::fixture::{ATTACHMENTS, Bed, deleting, name, node, nodes, unannotated, volume};

#[tokio::test]
async fn a_claim_is_found_by_its_name_without_a_list() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.node("machine", "id");
    bed.attach_with('a', "machine", unannotated);
    bed.attach('a', "other");
    let bed = bed.watching().await;
    let lists = bed.lists();
    let claim = bed.cluster.claim(&volume('a'), &node("id")).await.unwrap();
    assert_eq!(claim.unwrap().attachment.name, name('a', "machine"));
    assert_eq!(bed.lists(), lists);
}

#[tokio::test]
async fn that_a_claim_is_not_there_takes_no_list_where_it_could_have_one_name_only() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.node("machine", "id");
    // Others have claims, and the node has others.
    bed.attach('a', "other");
    bed.volume('b');
    bed.attach_with('b', "machine", |object| {
        object["metadata"]["annotations"]["csi.alpha.kubernetes.io/node-id"] = json!("id");
    });
    let bed = bed.watching().await;
    let lists = bed.lists();
    let claim = bed.cluster.claim(&volume('a'), &node("id")).await.unwrap();
    assert_eq!(claim, None);
    assert_eq!(bed.lists(), lists);
}

#[tokio::test]
async fn a_claim_that_could_have_another_name_is_looked_for_in_a_list() {
    type Prepare<'a> = (&'a str, &'a dyn Fn(&Bed), bool);
    let by_hand = |name: &'static str| {
        move |object: &mut serde_json::Value| {
            object["metadata"]["name"] = json!(name);
            object["metadata"]["annotations"]["csi.alpha.kubernetes.io/node-id"] = json!("id");
        }
    };
    let cases: [Prepare<'_>; 4] = [
        ("no plugin has the id", &|_| (), false),
        (
            "two plugins have it",
            &|bed| {
                bed.plugin("machine", "id");
                bed.plugin("machine-too", "id");
            },
            false,
        ),
        (
            "a node of another name has it for another volume",
            &|bed| {
                bed.plugin("machine", "id");
                bed.volume('b');
                bed.attach_with('b', "former", by_hand("any"));
            },
            false,
        ),
        (
            "one of that volume has another name",
            &|bed| {
                bed.plugin("machine", "id");
                bed.attach_with('a', "machine", by_hand("made-by-hand"));
            },
            true,
        ),
    ];
    for (case, prepare, is_found) in cases {
        let bed = Bed::new().await;
        bed.volume('a');
        prepare(&bed);
        let bed = bed.watching().await;
        let lists = bed.lists();
        let claim = bed.cluster.claim(&volume('a'), &node("id")).await.unwrap();
        assert_eq!(claim.is_some(), is_found, "{case}");
        assert_eq!(bed.lists(), lists + 1, "{case}");
    }
}

#[tokio::test]
async fn a_claim_is_found_although_nothing_was_watched() {
    for (volume_gone, annotated) in [(false, true), (true, true), (false, false), (true, false)] {
        let bed = Bed::new().await;
        if !volume_gone {
            bed.volume('a');
        }
        bed.node("machine", "id");
        bed.attach_with('a', "machine", |object| {
            deleting(object);
            let annotations = json!({"csi.alpha.kubernetes.io/node-id": "id"});
            object["metadata"]["annotations"] = if annotated { annotations } else { json!({}) };
        });
        let claim = bed.cluster.claim(&volume('a'), &node("id")).await.unwrap();
        let claim = claim.unwrap();
        assert_eq!(claim.wish, Wish::Detach);
        let other = bed.cluster.claim(&volume('b'), &node("id")).await.unwrap();
        assert_eq!(other, None);
    }
}

#[tokio::test]
async fn what_has_the_name_of_a_claim_but_is_for_another_is_none() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.attach_with('a', "one", |object| {
        object["metadata"]["annotations"]["csi.alpha.kubernetes.io/node-id"] = json!("another-id");
    });
    bed.attach_with('a', "two", |object| {
        object["spec"]["attacher"] = json!("another.driver");
    });
    bed.attach_with('a', "three", |object| {
        object["spec"]["nodeName"] = json!("elsewhere");
    });
    for (id, found) in [
        ("one", false),
        ("two", false),
        ("another-id", true),
        // As it says itself, by its annotation, but not by the name of its node.
        ("three", true),
        ("elsewhere", false),
    ] {
        let claim = bed.cluster.claim(&volume('a'), &node(id)).await.unwrap();
        assert_eq!(claim.is_some(), found, "{id}");
    }
}

#[tokio::test]
async fn claims_that_asked_while_a_list_was_under_way_share_the_next_one() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.attach('a', "one");
    bed.fault(1, Fault::Hold, Verb::List, ATTACHMENTS);
    let cluster = &bed.cluster;
    let id = volume('a');
    let mut first = pin!(cluster.claims_on(&id));
    assert!(futures::poll!(&mut first).is_pending());
    bed.api.faults().wait_held(1).await;
    let mut others: Vec<_> = (0..20).map(|_| cluster.claims_on(&id)).collect();
    for other in &mut others {
        assert!(futures::poll!(other).is_pending());
    }
    // One that gives up takes nothing from the others.
    drop(others.pop());
    bed.api.faults().release();
    assert_eq!(nodes(&first.await.unwrap()), ["one"]);
    for claims in join_all(others).await {
        assert_eq!(nodes(&claims.unwrap()), ["one"]);
    }
    assert_eq!(bed.lists(), 2);
}

#[tokio::test]
async fn a_failed_list_fails_all_who_shared_it_and_nobody_after_them() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.attach('a', "one");
    bed.fault(1, Fault::Error { code: 503 }, Verb::List, ATTACHMENTS);
    let id = volume('a');
    let both = [bed.cluster.claims_on(&id), bed.cluster.claims_on(&id)];
    for claims in join_all(both).await {
        assert_eq!(claims.unwrap_err().kind(), Kind::Unavailable);
    }
    assert_eq!(bed.lists(), 1);
    assert_eq!(bed.cluster.claims_on(&id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_volume_made_again_under_its_old_name_is_not_taken_for_the_old_one() {
    let bed = Bed::new().await;
    bed.volume_as('a', "static", &json!({}));
    let bed = bed.watching().await;
    // From now on the mirror hears nothing of volumes.
    bed.fault(1, Fault::Hold, Verb::Watch, "persistentvolumes");
    bed.api.cut_watches("persistentvolumes");
    bed.api.faults().wait_held(1).await;
    bed.volume_as('b', "static", &json!({}));
    bed.attach_with('b', "one", |object| {
        object["spec"]["source"]["persistentVolumeName"] = json!("static");
    });
    let (old, new) = (volume('a'), volume('b'));
    let claims = bed.cluster.claims_on(&new).await.unwrap();
    assert_eq!(nodes(&claims), ["one"]);
    assert_eq!(bed.cluster.claims_on(&old).await.unwrap(), []);
}

#[tokio::test]
async fn a_claim_that_cannot_be_resolved_is_an_error_and_says_what_is_missing() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.volume('b');
    bed.attach_with('a', "unknown-to-all", unannotated);
    let id = node("unknown-to-all");
    let failed = [
        bed.cluster.claims_on(&volume('a')).await.unwrap_err(),
        bed.cluster.claim(&volume('a'), &id).await.unwrap_err(),
    ];
    for error in failed {
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.context().contains("unknown-to-all"), "{error}");
        assert!(error.context().contains("CSINode"), "{error}");
    }
    assert_eq!(bed.cluster.claims_on(&volume('b')).await.unwrap(), []);
    bed.plugin("unknown-to-all", "id");
    let claims = bed.cluster.claims_on(&volume('a')).await.unwrap();
    assert_eq!(nodes(&claims), ["id"]);
}
