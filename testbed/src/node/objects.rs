//! The objects of a node, as a kubelet and a node plugin make them.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::CSINode;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{HEARTBEATS, OWNER};

/// Makes the Node and its CSINode.
pub(super) async fn create(
    client: &Client,
    name: &str,
    owner: &str,
    driver: &str,
) -> kube::Result<()> {
    let params = PostParams::default();
    let node = json!({"metadata": {
        "name": name,
        "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", OWNER: owner},
        // Without it the attach/detach controller ignores the node's pods, silently.
        "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
    }});
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&params, &parsed(node)?).await?;
    let room = json!({"cpu": "1000", "memory": "1000Gi", "pods": "1000"});
    let status = json!({"status": {
        "capacity": room, "allocatable": room, "conditions": [condition()],
    }});
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
        .await?;
    let plugins: Api<CSINode> = Api::all(client.clone());
    let plugin = json!({
        "metadata": {"name": name},
        "spec": {"drivers": [{"name": driver, "nodeID": name, "topologyKeys": []}]},
    });
    plugins.create(&params, &parsed(plugin)?).await.map(drop)
}

/// The node's heartbeat of now.
pub(super) fn lease(name: &str) -> Value {
    // MicroTime has exactly six digits.
    let now = Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string();
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": HEARTBEATS},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now},
    })
}

/// Whether the node counts as ready.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter();
    let mut conditions = conditions.flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Says again that the node is ready.
pub(super) async fn say_ready(nodes: &Api<Node>, name: &str) -> kube::Result<()> {
    let status = Patch::Strategic(json!({"status": {"conditions": [condition()]}}));
    let params = PatchParams::default();
    nodes.patch_status(name, &params, &status).await.map(drop)
}

fn condition() -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the bed says so",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    })
}

fn parsed<T: serde::de::DeserializeOwned>(object: Value) -> kube::Result<T> {
    serde_json::from_value(object).map_err(kube::Error::SerdeError)
}
