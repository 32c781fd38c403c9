//! Rows out of objects as the API server sends them.

use serde_json::{Value, json};

use super::*;

const DRIVER: &str = "rds.csi.srvlab.io";

fn row<R: Row>(object: Value) -> Option<R> {
    R::of(serde_json::from_value(object).unwrap(), DRIVER)
}

/// An attachment as external-attacher leaves it, changed by `merge`.
fn attachment(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
        "metadata": {
            "name": "csi-1", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["external-attacher/rds-csi-srvlab-io", "somebody.else/finalizer"],
            "annotations": {"csi.alpha.kubernetes.io/node-id": "node-id", "other": "x"},
            "managedFields": [{"manager": "m", "fieldsV1": {"f:metadata": {}}}],
        },
        "spec": {
            "attacher": DRIVER, "nodeName": "node-name",
            "source": {"persistentVolumeName": "pv"},
        },
        "status": {
            "attached": true,
            "attachmentMetadata": {"nvme_nqn": "nqn.a", "nvme_hostnqn": "nqn.b", "fs_type": "ext4"},
        },
    });
    change(&mut object);
    object
}

fn plain() -> AttachmentRow {
    AttachmentRow {
        name: "csi-1".into(),
        uid: "u".into(),
        version: "7".into(),
        source: Source::Volume("pv".into()),
        node_name: "node-name".into(),
        node_id: Some("node-id".into()),
        wish: Some(Wish::Attach),
        attached: true,
        told: Some(Names {
            subsystem: Some("nqn.a".to_owned()),
            host: Some("nqn.b".to_owned()),
        }),
        remade: None,
    }
}

type Edit = fn(&mut Value);

#[test]
fn an_attachment_keeps_what_decisions_rest_on() {
    let deleted: Edit =
        |object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let bare: Edit = |object| {
        object["status"] = Value::Null;
        object["metadata"]["annotations"] = Value::Null;
        object["metadata"]["finalizers"] = Value::Null;
    };
    let inline = |driver: &str| {
        let source = json!({"inlineVolumeSpec": {"csi": {"driver": driver, "volumeHandle": "h"}}});
        attachment(|object| object["spec"]["source"] = source)
    };
    let rows = [
        (attachment(|_| ()), plain()),
        (
            attachment(deleted),
            AttachmentRow {
                wish: Some(Wish::Detach),
                ..plain()
            },
        ),
        (
            attachment(|object| {
                bare(object);
                deleted(object);
            }),
            AttachmentRow {
                wish: None,
                attached: false,
                told: None,
                node_id: None,
                ..plain()
            },
        ),
        // The finalizer was stripped by hand: the node goes on using the volume.
        (
            attachment(|object| object["metadata"]["finalizers"] = json!([])),
            plain(),
        ),
        (
            attachment(|object| object["metadata"]["annotations"][REMADE] = json!("nqn.c")),
            AttachmentRow {
                remade: Some("nqn.c".into()),
                ..plain()
            },
        ),
        (
            inline(DRIVER),
            AttachmentRow {
                source: Source::Inline("h".into()),
                ..plain()
            },
        ),
        (
            inline("another.driver"),
            AttachmentRow {
                source: Source::Unknown,
                ..plain()
            },
        ),
    ];
    for (object, expected) in rows {
        assert_eq!(row(object.clone()), Some(expected), "{object}");
    }
    let other = attachment(|object| object["spec"]["attacher"] = json!("another.driver"));
    assert_eq!(row::<AttachmentRow>(other), None);
}

#[test]
fn the_finalizer_of_a_driver_is_written_as_external_attacher_does() {
    let rows = [
        ("rds.csi.srvlab.io", "external-attacher/rds-csi-srvlab-io"),
        ("a/b", "external-attacher/a-b"),
        ("a.", "external-attacher/a-X"),
        ("A-1", "external-attacher/A-1"),
    ];
    for (driver, expected) in rows {
        assert_eq!(finalizer(driver), expected);
    }
}

#[test]
fn an_answer_that_is_no_stored_object_is_refused_as_a_whole() {
    for field in ["name", "uid", "resourceVersion"] {
        let object = attachment(|object| object["metadata"][field] = Value::Null);
        let read = serde_json::from_value::<Object<Attachments>>(object);
        assert!(read.is_err(), "{field}");
    }
}

#[test]
fn only_many_writers_of_a_raw_block_volume_share_it() {
    let volume = |modes: Value, mode: Value| {
        row::<VolumeRow>(json!({
            "metadata": {"name": "pv", "uid": "u", "resourceVersion": "1"},
            "spec": {
                "csi": {"driver": DRIVER, "volumeHandle": "h"},
                "accessModes": modes, "volumeMode": mode,
                "claimRef": {"namespace": "ns", "name": "pvc", "uid": "p"},
            },
        }))
        .unwrap()
    };
    let rows = [
        (json!(["ReadWriteMany"]), json!("Block"), true),
        (
            json!(["ReadWriteOnce", "ReadWriteMany"]),
            json!("Block"),
            true,
        ),
        (json!(["ReadWriteMany"]), json!("Filesystem"), false),
        (json!(["ReadWriteMany"]), Value::Null, false),
        (json!(["ReadWriteOnce"]), json!("Block"), false),
        (Value::Null, json!("Block"), false),
    ];
    for (modes, mode, expected) in rows {
        let row = volume(modes.clone(), mode.clone());
        assert_eq!(row.shared, expected, "{modes} {mode}");
        assert_eq!(row.pvc.unwrap().name, "pvc".into());
    }
}

#[test]
fn volumes_and_plugins_of_other_drivers_are_none_of_ours() {
    let metadata = json!({"name": "x", "uid": "u", "resourceVersion": "1"});
    let volume = |spec: Value| row::<VolumeRow>(json!({"metadata": metadata, "spec": spec}));
    let other = json!({"driver": "another.driver", "volumeHandle": "h"});
    assert_eq!(volume(json!({"csi": other})), None);
    assert_eq!(volume(json!({"nfs": {"path": "/"}})), None);

    let plugin = |drivers: Value| {
        let object = json!({"metadata": metadata, "spec": {"drivers": drivers}});
        row::<CsiNodeRow>(object).map(|row| row.node_id)
    };
    let ours = json!({"name": DRIVER, "nodeID": "id"});
    let other = json!({"name": "another.driver", "nodeID": "other-id"});
    assert_eq!(plugin(json!([other, ours])), Some("id".into()));
    assert_eq!(plugin(json!([other])), None);
    assert_eq!(plugin(Value::Null), None);
}

#[test]
fn a_node_is_out_of_service_by_that_taint_only() {
    let presence = |taints: Value| {
        let object = json!({
            "metadata": {"name": "x", "uid": "u", "resourceVersion": "1"},
            "spec": {"taints": taints},
        });
        NodeRow::presence(row::<NodeRow>(object).as_ref())
    };
    let taint = |key: &str| json!([{"key": "x"}, {"key": key, "effect": "NoExecute"}]);
    let rows = [
        (Value::Null, Presence::Present),
        (taint("node.kubernetes.io/unreachable"), Presence::Present),
        (taint(OUT_OF_SERVICE), Presence::OutOfService),
    ];
    for (taints, expected) in rows {
        assert_eq!(presence(taints.clone()), expected, "{taints}");
    }
    assert_eq!(NodeRow::presence(None), Presence::Gone);
}
