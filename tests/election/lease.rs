//! The adapter: one call each, against faults of the API.

use rds_csi::domain::election::{Failure, Hold, LeaseView, Timing, Version};
use rds_csi::domain::error::Kind;
use rds_csi::domain::leadership::Epoch;
use rds_csi::ports::LeaseStore;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use serde_json::json;

use super::fixture::{Cluster, short};

const EPOCH: Epoch = Epoch::from_record(9);

async fn version(store: &impl LeaseStore) -> Version {
    store.get().await.unwrap().unwrap().version
}

fn holds(view: &LeaseView, name: &str) -> bool {
    view.hold
        .holder()
        .is_some_and(|holder| holder.as_str().starts_with(name))
}

fn hold_next_patch(cluster: &Cluster, client: &str) {
    let patches = Matcher::of(Verb::Patch, "leases").by(client);
    cluster
        .api
        .faults()
        .add(Rule::next(1, Fault::Hold, patches));
}

/// Lets the held patch through once `between` has happened.
macro_rules! late {
    ($cluster:expr, $call:expr, $between:expr) => {{
        let (late, ()) = tokio::join!($call, async {
            $cluster.api.faults().wait_held(1).await;
            $between;
            $cluster.api.faults().release();
        });
        late
    }};
}

#[tokio::test]
async fn of_two_racers_on_one_version_one_wins() {
    let cluster = Cluster::released().await;
    let (a, b) = (
        cluster.store("a", Timing::default()),
        cluster.store("b", Timing::default()),
    );
    let seen = version(&a).await;
    for client in ["a", "b"] {
        hold_next_patch(&cluster, client);
    }
    let (a, b, ()) = tokio::join!(a.acquire(&seen, EPOCH), b.acquire(&seen, EPOCH), async {
        cluster.api.faults().wait_held(2).await;
        cluster.api.faults().release();
    });
    let winner = match (&a, &b) {
        (Ok(view), Err(Failure::Conflict)) | (Err(Failure::Conflict), Ok(view)) => view,
        other => panic!("{other:?}"),
    };
    assert!(holds(winner, &cluster.holder()));
}

#[tokio::test]
async fn a_late_renewal_or_release_leaves_the_next_holder_alone() {
    for releases in [false, true] {
        let cluster = Cluster::released().await;
        let (a, b) = (
            cluster.store("a", Timing::default()),
            cluster.store("b", Timing::default()),
        );
        let held = a.acquire(&version(&a).await, EPOCH).await.unwrap();
        hold_next_patch(&cluster, "a");
        let call = async {
            if releases {
                a.release().await
            } else {
                a.renew(EPOCH, false).await.map(drop)
            }
        };
        let late = late!(cluster, call, {
            let taken = b.acquire(&held.version, EPOCH.next()).await.unwrap();
            assert!(holds(&taken, "b"));
        });
        assert!(matches!(late, Err(Failure::Conflict)), "{late:?}");
        assert_eq!(cluster.holder(), "b");
        // And from now on it is told so.
        let next = a.renew(EPOCH, false).await;
        assert!(
            matches!(&next, Err(Failure::NotHeld(view)) if holds(view, "b")),
            "{next:?}"
        );
        let next = a.release().await;
        assert!(matches!(next, Err(Failure::NotHeld(_))), "{next:?}");
        assert_eq!(cluster.holder(), "b");
    }
}

#[tokio::test]
async fn a_version_that_is_gone_is_a_lost_race() {
    let cluster = Cluster::released().await;
    let a = cluster.store("a", Timing::default());
    let old = version(&a).await;
    cluster.edit(|lease| lease["spec"]["leaseDurationSeconds"] = json!(3));
    let refused = a.acquire(&old, EPOCH).await;
    assert!(matches!(refused, Err(Failure::Conflict)), "{refused:?}");
    let again = a.create().await;
    assert!(matches!(again, Err(Failure::Conflict)), "{again:?}");
    assert_eq!(cluster.holder(), "");
}

#[tokio::test]
async fn a_lease_deleted_between_read_and_write_is_a_lost_race() {
    let cluster = Cluster::released().await;
    let a = cluster.store("a", Timing::default());
    let seen = version(&a).await;
    hold_next_patch(&cluster, "a");
    let late = late!(cluster, a.acquire(&seen, EPOCH), cluster.delete());
    assert!(matches!(late, Err(Failure::Conflict)), "{late:?}");
    assert!(cluster.lease().is_none());
    let refused = a.acquire(&seen, EPOCH).await;
    assert!(matches!(refused, Err(Failure::Conflict)), "{refused:?}");
    assert!(cluster.lease().is_none(), "an absent Lease is not taken");
}

#[tokio::test]
async fn the_holder_makes_a_deleted_lease_anew_and_releases_nothing_of_it() {
    let cluster = Cluster::released().await;
    let a = cluster.store("a", Timing::default());
    a.acquire(&version(&a).await, EPOCH).await.unwrap();
    cluster.delete();
    let renewed = a.renew(EPOCH, false).await.unwrap();
    assert!(holds(&renewed, "a"));
    assert_eq!(renewed.epoch, EPOCH, "its epoch is on record again");
    cluster.delete();
    assert!(a.release().await.is_ok());
    assert!(cluster.lease().is_none());
}

#[tokio::test]
async fn a_release_says_who_released_and_frees_the_lease() {
    let cluster = Cluster::released().await;
    let a = cluster.store("a", Timing::default());
    a.acquire(&version(&a).await, EPOCH).await.unwrap();
    let offered = a.renew(EPOCH, true).await.unwrap();
    assert!(matches!(offered.hold, Hold::Offered(_)), "{offered:?}");
    a.release().await.unwrap();
    let view = a.get().await.unwrap().unwrap();
    assert_eq!((view.hold, view.epoch), (Hold::Released, EPOCH));
}

#[tokio::test]
async fn no_call_outlasts_its_limit_on_an_api_that_hangs() {
    let cluster = Cluster::released().await;
    let a = cluster.store("a", short());
    let seen = version(&a).await;
    a.acquire(&seen, EPOCH).await.unwrap();
    let all = Matcher {
        client: Some("a".into()),
        ..Matcher::default()
    };
    cluster
        .api
        .faults()
        .add(Rule::always(Fault::StallBefore, all));
    let calls = [
        a.get().await.map(drop),
        a.create().await.map(drop),
        a.acquire(&seen, EPOCH).await.map(drop),
        a.renew(EPOCH, false).await.map(drop),
        a.release().await,
    ];
    for failure in calls.map(Result::unwrap_err) {
        let Failure::Call(error) = &failure else {
            panic!("{failure:?}");
        };
        // Either our limit or the client's own of the same length comes first.
        let kinds = [Kind::Timeout, Kind::Unavailable];
        assert!(kinds.contains(&error.kind()), "{error:?}");
        assert!(error.context().contains("rds-csi/leader"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_lease_and_what_was_attempted() {
    let cluster = Cluster::released().await;
    let a = cluster.store("a", Timing::default());
    a.acquire(&version(&a).await, EPOCH).await.unwrap();
    let faults = [
        Fault::Error { code: 503 },
        Fault::TooManyRequests { retry_after: 600 },
        Fault::DropBefore,
    ];
    for fault in faults {
        let patches = Matcher::of(Verb::Patch, "leases").by("a");
        cluster.api.faults().clear();
        cluster
            .api
            .faults()
            .add(Rule::next(1, fault.clone(), patches));
        let failure = a.renew(EPOCH, false).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "renewing Lease rds-csi/leader failed",
            "{fault:?}"
        );
        assert!(cluster.api.faults().spent(), "{fault:?}: sent once");
        assert!(a.renew(EPOCH, false).await.is_ok(), "{fault:?}: went by");
    }
}
