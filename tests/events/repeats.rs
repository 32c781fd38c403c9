//! The same again is counted, something else is not.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event as ServedEvent;
use rds_csi::k8s::events::Limits;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};

use super::fixture::{APPS, Cluster, conflict, detached};

const VOLUME: u64 = 1;

#[tokio::test]
async fn a_conflict_that_is_asked_about_again_and_again_is_one_event_with_a_count() {
    let cluster = Cluster::new().await;
    for _ in 0..4 {
        cluster
            .posted(conflict(VOLUME, "worker-1", "worker-2"))
            .await;
    }
    let found = cluster.of_claim(VOLUME);
    let [event] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(event["series"]["count"], 4);
    assert_eq!(cluster.api.requests(Verb::Create, "events"), 1);
}

#[tokio::test]
async fn another_holder_is_another_event() {
    let cluster = Cluster::new().await;
    let rows = [
        ("worker-1", "worker-2"),
        ("worker-3", "worker-2"),
        ("worker-1", "worker-3"),
    ];
    for (holder, asking) in rows {
        cluster.posted(conflict(VOLUME, holder, asking)).await;
    }
    let found = cluster.of_claim(VOLUME);
    assert_eq!(found.len(), rows.len(), "{found:?}");
    for (holder, asking) in rows {
        let told = |text: &str| {
            text.contains(&format!("attach to node {asking}"))
                && text.contains(&format!("attached to node {holder}"))
        };
        let notes = found.iter().filter_map(|event| event["message"].as_str());
        assert_eq!(notes.filter(|note| told(note)).count(), 1);
    }
}

#[tokio::test]
async fn what_repeats_while_it_waits_costs_one_request() {
    // The first request is held up, so that everything else waits behind it.
    let cluster = Cluster::new().await;
    let events = Matcher::of(Verb::Create, "events");
    cluster.api.faults().add(Rule::next(1, Fault::Hold, events));
    cluster.post(detached(3));
    cluster.api.faults().wait_held(1).await;
    for _ in 0..100 {
        cluster.post(conflict(VOLUME, "worker-1", "worker-2"));
    }
    cluster.api.faults().release();
    cluster.until(|tally| tally.posted == 2).await;
    let found = cluster.of_claim(VOLUME);
    assert_eq!(found[0]["series"]["count"], 100);
    assert_eq!(cluster.api.requests(Verb::Create, "events"), 2);
    assert_eq!(cluster.api.requests(Verb::Patch, "events"), 0);
}

#[tokio::test]
async fn an_event_that_somebody_deleted_is_made_anew() {
    let cluster = Cluster::new().await;
    cluster.posted(detached(VOLUME)).await;
    let name = cluster.of_claim(VOLUME)[0]["metadata"]["name"].clone();
    assert!(
        cluster
            .api
            .evict::<ServedEvent>(APPS, name.as_str().unwrap())
    );
    cluster.posted(detached(VOLUME)).await;
    let found = cluster.of_claim(VOLUME);
    assert_eq!(found.len(), 1);
    assert!(found[0].get("series").is_none(), "{found:?}");
}

#[tokio::test]
async fn a_burst_of_two_thousand_sends_the_burst_and_drops_what_has_no_room() {
    // After the burst the next request is due in an hour: what has arrived by then is the burst.
    let limits = Limits {
        room: 300,
        interval: Duration::from_hours(1),
        burst: 40,
    };
    let cluster = Cluster::with(limits).await;
    for number in 0..2_000 {
        cluster.post(detached(2 * number + 1));
    }
    cluster.until(|tally| tally.posted == 40).await;
    let tally = cluster.events.tally();
    assert_eq!(tally.waiting + tally.posted + tally.dropped, 2_000);
    assert!(tally.dropped >= 2_000 - 300 - 40, "{tally:?}");
    assert_eq!(cluster.api.requests(Verb::Create, "events"), 40);
    assert_eq!(cluster.api.objects::<ServedEvent>().len(), 40);
}
