//! Kubernetes objects put in place as the controllers of Kubernetes and the sidecars would have left
//! them, past HTTP: thousands of them take a moment.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use rds_csi::sim::kubernetes::KubeApi;
use rds_csi::workload::cluster::DRIVER;
use rds_csi::workload::placement::{NAMESPACE, Volume};
use rds_csi::workload::{attachment_name, finalizer_name};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Under this annotation external-attacher notes the node id before its first call.
const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";

/// How far an attachment is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage<'a> {
    /// external-attacher has marked it and is about to call the driver.
    Asked,
    /// The driver has answered this.
    Attached(&'a BTreeMap<String, String>),
    /// Deleted, and held by external-attacher until the driver has answered.
    Leaving,
}

/// Asks for a volume on a node, or asks no more.
pub(crate) fn attach(
    api: &KubeApi,
    volume: &Volume,
    node: &str,
    stage: Stage<'_>,
) -> anyhow::Result<()> {
    let status = match stage {
        Stage::Asked => json!({"attached": false}),
        Stage::Attached(told) => json!({"attached": true, "attachmentMetadata": told}),
        Stage::Leaving => json!({"attached": true}),
    };
    let mut attachment = json!({
        "metadata": {
            "name": attachment_name(&volume.handle, DRIVER, node),
            "annotations": {NODE_ID: node},
            "finalizers": [finalizer_name(DRIVER)],
        },
        "spec": {
            "attacher": DRIVER, "nodeName": node,
            "source": {"persistentVolumeName": volume.name},
        },
        "status": status,
    });
    if let (Stage::Leaving, Some(metadata)) = (stage, attachment.get_mut("metadata")) {
        metadata["deletionTimestamp"] = json!("2026-11-21T00:00:00Z");
    }
    put::<VolumeAttachment>(api, attachment)
}

/// The attachment goes.
pub(crate) fn detach(api: &KubeApi, volume: &Volume, node: &str) {
    let name = attachment_name(&volume.handle, DRIVER, node);
    api.evict::<VolumeAttachment>("", &name);
}

/// A node with the driver's plugin.
pub(crate) fn node(api: &KubeApi, name: &str) -> anyhow::Result<()> {
    put::<Node>(api, json!({"metadata": {"name": name}}))?;
    let drivers = json!([{"name": DRIVER, "nodeID": name, "topologyKeys": []}]);
    let plugin = json!({"metadata": {"name": name}, "spec": {"drivers": drivers}});
    put::<CSINode>(api, plugin)
}

/// A PersistentVolume and the claim it is bound to.
pub(crate) fn volume(api: &KubeApi, volume: &Volume) -> anyhow::Result<()> {
    let name = &volume.name;
    let claim = json!({
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "volumeName": name,
            "storageClassName": "rds", "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Bound"},
    });
    put::<PersistentVolumeClaim>(api, claim)?;
    let persistent = json!({
        "metadata": {"name": name, "finalizers": [finalizer_name(DRIVER)]},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem", "storageClassName": "rds",
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": NAMESPACE, "name": name,
            },
            "csi": {
                "driver": DRIVER, "volumeHandle": volume.handle,
                "volumeAttributes": volume.context, "fsType": "ext4",
            },
        },
        "status": {"phase": "Bound"},
    });
    put::<PersistentVolume>(api, persistent)
}

fn put<K>(api: &KubeApi, object: Value) -> anyhow::Result<()>
where
    K: k8s_openapi::Resource + Serialize + DeserializeOwned,
{
    api.seed(&serde_json::from_value::<K>(object)?)?;
    Ok(())
}
