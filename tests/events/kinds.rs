//! Every kind of event: on which object, of which type, and what it says.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use rds_csi::domain::event::What;
use rds_csi::domain::grant::FencingMode;
use serde_json::json;

use super::fixture::{Cluster, LEASE, SYSTEM, conflict, detached, node, volume};

const VOLUME: u64 = 1;

/// Kind of event, type, reason, and what its note must tell.
type Row = (What, &'static str, &'static str, &'static [&'static str]);

fn of_attachments() -> Vec<Row> {
    let volume = || volume(VOLUME);
    let first = || "worker-1".to_owned();
    vec![
        (
            conflict(VOLUME, "worker-1", "worker-2"),
            "Warning",
            "AttachmentConflict",
            &["worker-1", "worker-2", "scale down", "out-of-service"],
        ),
        (
            What::VolumeAttached {
                volume: volume(),
                node: node("worker-1"),
                took: Duration::from_millis(312),
            },
            "Normal",
            "VolumeAttached",
            &["worker-1", "within 500 ms"],
        ),
        (
            detached(VOLUME),
            "Normal",
            "VolumeDetached",
            &["worker-1", "no longer"],
        ),
        (
            What::VolumeDetached {
                volume: volume(),
                node: None,
            },
            "Normal",
            "VolumeDetached",
            &["every node"],
        ),
        (
            What::StaleAttachmentCleared {
                volume: volume(),
                node: first(),
                why: "its Node object is gone",
            },
            "Normal",
            "StaleAttachmentCleared",
            &["worker-1", "its Node object is gone"],
        ),
    ]
}

fn of_migrations_and_repairs() -> Vec<Row> {
    let volume = || volume(VOLUME);
    let first = || "worker-1".to_owned();
    vec![
        (
            What::MigrationStarted {
                volume: volume(),
                from: first(),
                to: node("worker-2"),
            },
            "Normal",
            "MigrationStarted",
            &["worker-1", "worker-2"],
        ),
        (
            What::MigrationCompleted {
                volume: volume(),
                left: node("worker-1"),
                kept: "worker-2".to_owned(),
            },
            "Normal",
            "MigrationCompleted",
            &["worker-1 has left", "worker-2 keeps", "not fenced"],
        ),
        (
            What::MigrationFailed {
                volume: volume(),
                left: node("worker-2"),
                kept: first(),
            },
            "Warning",
            "MigrationFailed",
            &["worker-2 has left", "worker-1 keeps", "not fenced"],
        ),
        (
            What::GrantRepaired {
                volume: volume(),
                node: first(),
            },
            "Normal",
            "GrantRepaired",
            &["worker-1", "stands again"],
        ),
        (
            What::GrantLost {
                volume: volume(),
                node: first(),
                why: "worker-2 has a claim too",
            },
            "Warning",
            "GrantLost",
            &["worker-1", "worker-2 has a claim too", "Delete the pod"],
        ),
        (
            What::OrphanFound {
                volume: volume(),
                node: first(),
            },
            "Warning",
            "OrphanFound",
            &["worker-1", "VolumeAttachment"],
        ),
    ]
}

fn on_the_lease() -> Vec<Row> {
    let degraded = |mode| What::FencingDegraded { mode };
    vec![
        (
            degraded(FencingMode::HostNqn),
            "Warning",
            "FencingDegraded",
            &["host-nqn", "queued"],
        ),
        (
            degraded(FencingMode::SubsystemNqn),
            "Warning",
            "FencingDegraded",
            &["subsystem-nqn", "learns"],
        ),
        (
            degraded(FencingMode::Controller),
            "Warning",
            "FencingDegraded",
            &["controller", "Nothing but"],
        ),
        (
            What::LeaderElected {
                took: Duration::from_millis(2_400),
            },
            "Normal",
            "LeaderElected",
            &["within 5 s"],
        ),
    ]
}

#[tokio::test]
async fn every_kind_stands_on_its_object_and_tells_what_it_must() {
    let claim = ("PersistentVolumeClaim", "apps", "data-1", "v1", "uid-1");
    let lease = (
        "Lease",
        SYSTEM,
        LEASE,
        "coordination.k8s.io/v1",
        "uid-lease",
    );
    let rows = of_attachments().into_iter();
    let rows = rows.chain(of_migrations_and_repairs());
    let rows = rows.map(|row| (claim, row));
    let rows = rows.chain(on_the_lease().into_iter().map(|row| (lease, row)));
    for ((kind, namespace, name, version, uid), (what, type_, reason, words)) in rows {
        let cluster = Cluster::new().await;
        cluster.posted(what).await;
        let found = cluster.of(kind, namespace, name);
        let [event] = found.as_slice() else {
            panic!("{reason}: {found:?}");
        };
        assert_eq!(event["type"], type_, "{reason}");
        assert_eq!(event["reason"], reason);
        assert_eq!(event["involvedObject"]["apiVersion"], version, "{reason}");
        assert_eq!(event["involvedObject"]["uid"], uid, "{reason}");
        assert_eq!(event["reportingComponent"], "rds.csi.srvlab.io");
        assert_eq!(event["reportingInstance"], "controller-0");
        let note = event["message"].as_str().unwrap();
        for word in words {
            assert!(note.contains(word), "{reason}: {note} lacks {word}");
        }
    }
}

#[tokio::test]
async fn what_differs_each_time_is_annotated() {
    let cluster = Cluster::new().await;
    for milliseconds in [312, 401] {
        let what = What::VolumeAttached {
            volume: volume(VOLUME),
            node: node("worker-1"),
            took: Duration::from_millis(milliseconds),
        };
        cluster.posted(what).await;
    }
    let found = cluster.of_claim(VOLUME);
    let [event] = found.as_slice() else {
        panic!("{found:?}");
    };
    let expected = json!({
        "rds.csi.srvlab.io/epoch": "7",
        "rds.csi.srvlab.io/took-ms": "401",
        "rds.csi.srvlab.io/trace-id": "4bf92f3577b34da6a3ce929d0e0e4736",
    });
    assert_eq!(event["metadata"]["annotations"], expected);
    assert_eq!(event["series"]["count"], 2);
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_leaves_its_event_without_a_uid() {
    let cluster = Cluster::new().await;
    assert!(cluster.api.evict::<Lease>(SYSTEM, LEASE));
    let took = Duration::ZERO;
    cluster.posted(What::LeaderElected { took }).await;
    let found = cluster.of("Lease", SYSTEM, LEASE);
    let [event] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(event["involvedObject"].get("uid").is_none(), "{event}");
}
