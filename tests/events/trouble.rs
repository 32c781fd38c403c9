//! An API that refuses or is gone, and volumes whose claims are not known.

use k8s_openapi::api::core::v1::{Event as ServedEvent, PersistentVolumeClaim};
use rds_csi::k8s::events::Tally;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};

use super::fixture::{Cluster, conflict, detached};

#[tokio::test]
async fn an_event_of_a_volume_without_a_known_claim_is_counted_and_sent_nowhere() {
    let cluster = Cluster::new().await;
    cluster.post(detached(2));
    cluster.posted(detached(1)).await;
    let expected = Tally {
        posted: 1,
        homeless: 1,
        ..Tally::default()
    };
    assert_eq!(cluster.events.tally(), expected);
    assert_eq!(cluster.api.objects::<ServedEvent>().len(), 1);
}

#[tokio::test]
async fn one_refused_event_does_not_hold_up_the_next_and_is_not_repeated() {
    // A namespace that is being deleted refuses new events; an API server that restarts, all.
    let faults = [
        Fault::Error { code: 500 },
        Fault::TooManyRequests { retry_after: 30 },
        Fault::DropBefore,
        Fault::DropAfter,
    ];
    for fault in faults {
        let cluster = Cluster::new().await;
        let events = Matcher::of(Verb::Create, "events");
        cluster
            .api
            .faults()
            .add(Rule::next(1, fault.clone(), events));
        cluster.post(conflict(1, "worker-1", "worker-2"));
        cluster.until(|tally| tally.failed == 1).await;
        cluster.posted(detached(3)).await;
        let requests = cluster.api.requests(Verb::Create, "events");
        assert_eq!(requests, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn an_api_that_hangs_holds_up_one_event_until_the_deadline_and_no_caller() {
    let cluster = Cluster::new().await;
    let events = Matcher::of(Verb::Create, "events");
    let stall = Rule::next(1, Fault::StallBefore, events);
    cluster.api.faults().add(stall);
    // Every one of these returns although the API answers nothing.
    for number in 0..2_000 {
        cluster.post(conflict(2 * number + 1, "worker-1", "worker-2"));
    }
    cluster.until(|tally| tally.failed == 1).await;
    cluster.until(|tally| tally.posted > 0).await;
    let tally = cluster.events.tally();
    assert!(tally.dropped >= 2_000 - 512 - 1 - tally.posted, "{tally:?}");
}

#[tokio::test]
async fn a_claim_that_is_gone_has_its_events_all_the_same() {
    // The API checks no reference of an event: the last words about a claim outlive it.
    let cluster = Cluster::new().await;
    assert!(cluster.api.objects::<PersistentVolumeClaim>().is_empty());
    cluster.posted(detached(5)).await;
    assert_eq!(cluster.of_claim(5).len(), 1);
}
