//! Every claim there is, at a take-over.

use rds_csi::domain::claim::{Presence, Wish};
use rds_csi::ports::Cluster;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use serde_json::json;

use super::fixture::{ATTACHMENTS, Bed, deleting, name, node, nodes, slots, unannotated, volume};

#[tokio::test]
async fn a_survey_shows_every_claim_with_its_node_and_what_the_node_was_told() {
    let bed = Bed::new().await;
    for digit in ['a', 'b', 'c', 'd'] {
        bed.volume(digit);
    }
    let block = json!({"accessModes": ["ReadWriteMany"], "volumeMode": "Block"});
    bed.volume_as('e', "pv-e", &block);
    bed.node("one", "id-of-one");
    let taint = json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]);
    bed.machine("two", &taint);
    bed.attach_with('a', "one", unannotated);
    bed.attach_with('b', "two", deleting);
    bed.attach('c', "three");
    bed.attach_with('d', "one", |object| {
        object["spec"]["attacher"] = json!("another.driver");
    });
    bed.attach('e', "two");
    bed.attach_with('f', "three", |_| ());
    bed.attach('9', "three");

    let survey = bed.cluster.survey(&slots("abcdef")).await.unwrap();
    let rows = [
        ('a', "id-of-one", Wish::Attach, false),
        ('b', "two", Wish::Detach, false),
        ('c', "three", Wish::Attach, false),
        ('e', "two", Wish::Attach, true),
        // Its PersistentVolume is gone.
        ('f', "three", Wish::Attach, false),
    ];
    for (digit, id, wish, shared) in rows {
        let [claim] = survey.on(&volume(digit)) else {
            panic!("{digit}: {:?}", survey.on(&volume(digit)));
        };
        assert_eq!(claim.node, node(id), "{digit}");
        assert_eq!((claim.wish, claim.shared), (wish, shared), "{digit}");
        assert!(claim.attached && claim.remade.is_none(), "{digit}");
        let told = claim.told.as_ref().unwrap();
        assert_eq!(told.subsystem, Some(format!("nqn.{digit}")));
        assert_eq!(told.host.as_deref(), Some("nqn.host"));
    }
    assert_eq!(survey.claims.len(), rows.len());
    assert!(survey.blocked.is_empty(), "{:?}", survey.blocked);
    assert_eq!(survey.unresolved, [name('9', "three")]);
    for (id, presence) in [
        ("id-of-one", Presence::Present),
        ("two", Presence::OutOfService),
        ("three", Presence::Gone),
    ] {
        assert_eq!(survey.presence.get(&node(id)), Some(&presence), "{id}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_resolved_blocks_its_volume_and_no_other() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.volume('b');
    bed.attach_with('a', "unknown-to-all", unannotated);
    bed.attach('b', "one");
    let survey = bed.cluster.survey(&slots("ab")).await.unwrap();
    let why = &survey.blocked[&volume('a')];
    assert!(why.contains("unknown-to-all"), "{why}");
    assert_eq!(survey.blocked.len(), 1);
    assert_eq!(nodes(survey.on(&volume('b'))), ["one"]);
}

#[tokio::test]
async fn a_stale_list_is_not_used_for_a_survey() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.attach('a', "old");
    let past = bed.api.resource_version();
    bed.detach('a', "old");
    bed.attach('a', "new");
    // Whoever asks for any version sees the past.
    let stale = Fault::Stale { version: past };
    let faults = bed.api.faults();
    faults.add(Rule::next(1, stale, Matcher::default()));

    let survey = bed.cluster.survey(&slots("a")).await.unwrap();
    assert_eq!(nodes(survey.on(&volume('a'))), ["new"]);
    let claims = bed.cluster.claims_on(&volume('a')).await.unwrap();
    assert_eq!(nodes(&claims), ["new"]);
    let claim = bed.cluster.claim(&volume('a'), &node("old")).await.unwrap();
    assert_eq!(claim, None);
    assert!(!faults.spent(), "a request asked for any version");
}

#[tokio::test]
async fn a_node_that_joins_during_a_survey_is_not_taken_for_gone() {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.fault(1, Fault::Hold, Verb::List, ATTACHMENTS);
    let slots = slots("a");
    let survey = bed.cluster.survey(&slots);
    let joins = async {
        bed.api.faults().wait_held(1).await;
        bed.node("new", "new");
        bed.attach('a', "new");
        bed.api.faults().release();
    };
    let (survey, ()) = tokio::join!(survey, joins);
    assert_eq!(survey.unwrap().presence[&node("new")], Presence::Present);
}

#[tokio::test]
async fn a_list_that_expires_between_two_pages_begins_anew() {
    let bed = Bed::new().await;
    bed.volume('a');
    // Two pages of them.
    for node in 0..600 {
        bed.attach('a', &format!("node-{node}"));
    }
    bed.fault(1, Fault::Latency { ms: 0 }, Verb::List, ATTACHMENTS);
    bed.fault(1, Fault::Hold, Verb::List, ATTACHMENTS);
    let slots = slots("a");
    let survey = bed.cluster.survey(&slots);
    let expires = async {
        bed.api.faults().wait_held(1).await;
        bed.detach('a', "node-0");
        bed.attach('a', "late");
        bed.api.compact();
        bed.api.faults().release();
    };
    let (survey, ()) = tokio::join!(survey, expires);
    let survey = survey.unwrap();
    let found = nodes(survey.on(&volume('a')));
    assert_eq!(found.len(), 600);
    assert!(found.contains(&"late") && !found.contains(&"node-0"));
    assert_eq!(bed.lists(), 4, "two pages, twice");
}
