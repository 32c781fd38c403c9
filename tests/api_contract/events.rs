//! Events: one set of them, served in two forms.

use k8s_openapi::api::core::v1::{Event as OlderEvent, ObjectReference};
use k8s_openapi::api::events::v1::Event as NewerEvent;
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::{Value, json};

use super::fixture::{NAMESPACE, fresh, merge, namespaced, object, refusal, refused};
use super::servers::Server;
use super::suite::{Case, every_server};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    an_event_written_in_one_form_is_read_and_changed_in_the_other,
    the_recorder_of_the_client_library_counts_what_repeats,
    an_event_lacks_nothing_and_says_later_what_it_said_first,
];

/// An event in the newer form, with the parts that `change` replaces.
fn repaired(name: &str, change: &Value) -> NewerEvent {
    let mut event = json!({
        "metadata": {"name": name}, "eventTime": "2026-01-02T03:04:05.000001Z",
        "type": "Normal", "reason": "GrantRepaired", "action": "Repair", "note": "made again",
        "reportingController": "rds.csi.srvlab.io", "reportingInstance": "controller-0",
        "regarding": {"kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": "data"},
    });
    for (field, value) in change.as_object().unwrap() {
        event[field] = value.clone();
    }
    object(event)
}

async fn an_event_written_in_one_form_is_read_and_changed_in_the_other(server: Server) {
    let cluster = server.cluster().await;
    let newer: Api<NewerEvent> = namespaced(&cluster.client);
    let older: Api<OlderEvent> = namespaced(&cluster.client);
    let name = fresh("event");
    let event = repaired(&name, &json!({}));
    let made = newer.create(&PostParams::default(), &event).await.unwrap();
    let read = older.get(&name).await.unwrap();
    assert_eq!(read.message.as_deref(), Some("made again"));
    assert_eq!(read.involved_object.name.as_deref(), Some("data"));
    assert_eq!(
        read.reporting_component.as_deref(),
        Some("rds.csi.srvlab.io")
    );
    assert_eq!(read.metadata.uid, made.metadata.uid);

    let patch = json!({"count": 2, "message": "made again, twice"});
    merge(&older, &name, patch).await.unwrap();
    let read = newer.get(&name).await.unwrap();
    assert_eq!(read.note.as_deref(), Some("made again, twice"));
    assert_eq!(read.deprecated_count, Some(2));
    assert_eq!(read.regarding, made.regarding);
}

async fn the_recorder_of_the_client_library_counts_what_repeats(server: Server) {
    let cluster = server.cluster().await;
    let reason = fresh("Reason");
    let reporter = Reporter {
        controller: "rds.csi.srvlab.io".to_owned(),
        instance: Some("controller-0".to_owned()),
    };
    let recorder = Recorder::new(cluster.client.clone(), reporter);
    let about = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        name: Some("data".to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: EventType::Warning,
        reason: reason.clone(),
        note: Some("held by node-2".to_owned()),
        action: "Publish".to_owned(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&event, &about).await.unwrap();
    }
    let events: Api<NewerEvent> = namespaced(&cluster.client);
    let listed = events.list(&ListParams::default()).await.unwrap().items;
    let mut ours = listed
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some(&reason));
    let series = ours.next().unwrap().series.unwrap();
    assert!(series.count >= 2, "{series:?}");
    assert!(ours.next().is_none());
}

async fn an_event_lacks_nothing_and_says_later_what_it_said_first(server: Server) {
    let cluster = server.cluster().await;
    let events: Api<NewerEvent> = namespaced(&cluster.client);
    let series = |count: i32| json!({"series": {"count": count, "lastObservedTime": "2026-01-02T03:05:00.000000Z"}});
    let bad = [
        json!({"eventTime": null}),
        json!({"type": "Remarkable"}),
        json!({"reason": ""}),
        json!({"action": null}),
        json!({"action": "a".repeat(129)}),
        json!({"note": "n".repeat(1025)}),
        json!({"reportingController": ""}),
        json!({"reportingInstance": "i".repeat(129)}),
        json!({"regarding": {"kind": "Node", "name": "node-1"}}),
        json!({"deprecatedCount": 1}),
        series(1),
    ];
    for change in bad {
        let event = repaired(&fresh("event"), &change);
        let result = events.create(&PostParams::default(), &event).await;
        assert_eq!(refusal(result), refused(422, "Invalid"), "{change}");
    }

    let name = fresh("event");
    let event = repaired(&name, &series(2));
    events.create(&PostParams::default(), &event).await.unwrap();
    let fixed = [
        json!({"note": "made again, twice"}),
        json!({"type": "Warning"}),
        json!({"reason": "GrantLost"}),
        json!({"reportingInstance": "controller-1"}),
        json!({"eventTime": "2026-01-02T03:04:06.000001Z"}),
        series(1),
    ];
    for change in fixed {
        let result = merge(&events, &name, change.clone()).await;
        assert_eq!(refusal(result), refused(422, "Invalid"), "{change}");
    }
    let mut counted = series(7);
    counted["metadata"] = json!({"annotations": {"example.io/last": "today"}});
    let event = merge(&events, &name, counted).await.unwrap();
    assert_eq!(event.series.unwrap().count, 7);
    assert_eq!(
        event.metadata.annotations.unwrap()["example.io/last"],
        "today"
    );
}
