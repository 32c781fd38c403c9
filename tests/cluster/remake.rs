//! The record that a lost pair is about to be brought back: at most once, and on what was read.

use rds_csi::domain::claim::Claim;
use rds_csi::ports::Cluster;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::Fault;

use super::fixture::{ATTACHMENTS, Bed, node, volume};

async fn attached() -> Bed {
    let bed = Bed::new().await;
    bed.volume('a');
    bed.attach('a', "one");
    bed
}

async fn read(bed: &Bed) -> Claim {
    let claim = bed.cluster.claim(&volume('a'), &node("one")).await;
    claim.unwrap().unwrap()
}

async fn record(bed: &Bed, claim: &Claim, subsystem: &str) -> bool {
    let recorded = bed.cluster.record_remake(claim, subsystem).await;
    recorded.unwrap()
}

#[tokio::test]
async fn a_pair_is_brought_back_once_and_another_pair_once_more() {
    let bed = attached().await;
    let claim = read(&bed).await;
    assert!(record(&bed, &claim, "nqn.x").await);
    // The same reading does not serve twice.
    assert!(!record(&bed, &claim, "nqn.x").await);
    assert!(!record(&bed, &claim, "nqn.y").await);
    let claim = read(&bed).await;
    assert_eq!(claim.remade.as_deref(), Some("nqn.x"));
    assert!(claim.attached && claim.told.is_some(), "{claim:?}");
    assert!(!record(&bed, &claim, "nqn.x").await);
    assert!(record(&bed, &claim, "nqn.y").await);
    assert_eq!(read(&bed).await.remade.as_deref(), Some("nqn.y"));
}

#[tokio::test]
async fn nothing_is_brought_back_for_an_attachment_that_changed_or_went() {
    let changes: [fn(&Bed); 3] = [
        |bed| bed.attach('a', "one"),
        |bed| bed.detach('a', "one"),
        |bed| {
            bed.detach('a', "one");
            bed.attach('a', "one");
        },
    ];
    for change in changes {
        let bed = attached().await;
        let claim = read(&bed).await;
        change(&bed);
        assert!(!record(&bed, &claim, "nqn.x").await);
    }
    // Even one that came by the same version.
    let bed = attached().await;
    let mut claim = read(&bed).await;
    claim.attachment.uid = "another".to_owned();
    assert!(!record(&bed, &claim, "nqn.x").await);
}

#[tokio::test]
async fn a_record_whose_answer_was_lost_is_not_taken_for_a_new_one() {
    let bed = attached().await;
    let claim = read(&bed).await;
    bed.fault(1, Fault::ErrorAfter { code: 500 }, Verb::Patch, ATTACHMENTS);
    let lost = bed.cluster.record_remake(&claim, "nqn.x").await;
    assert!(lost.is_err());
    assert!(!record(&bed, &claim, "nqn.x").await);
    let claim = read(&bed).await;
    assert!(!record(&bed, &claim, "nqn.x").await);
}
