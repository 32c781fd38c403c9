//! An API with attachments, volumes and nodes on it, and the driver's view of it.

use std::collections::HashSet;
use std::sync::Once;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use rds_csi::domain::claim::{Attachment, Claim};
use rds_csi::domain::id::{NodeId, VolumeId};
use rds_csi::k8s::cluster::KubeCluster;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::sim::kubernetes::{KubeApi, Options, Verb};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const DRIVER: &str = "rds.csi.srvlab.io";
pub(crate) const ATTACHMENTS: &str = "volumeattachments";
/// The driver's bearer token.
pub(crate) const CLIENT: &str = "driver";

/// The library's first pause after a watch broke is up to 1.6 s, its longest 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// An API, and a driver on it.
pub(crate) struct Bed {
    pub(crate) api: KubeApi,
    pub(crate) cluster: KubeCluster,
    /// Ends the mirror.
    watching: Option<DropGuard>,
}

/// The volume whose id is this digit again and again.
pub(crate) fn volume(digit: char) -> VolumeId {
    let digits = String::from(digit).repeat(28);
    format!("csi-{digits}").parse().unwrap()
}

pub(crate) fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

pub(crate) fn slots(digits: &str) -> HashSet<VolumeId> {
    digits.chars().map(volume).collect()
}

/// The name of the attachment of a volume to a node.
pub(crate) fn name(digit: char, node_name: &str) -> String {
    Attachment::name_of(&volume(digit), DRIVER, node_name)
}

/// The nodes of claims.
pub(crate) fn nodes(claims: &[Claim]) -> Vec<&str> {
    let mut nodes: Vec<&str> = claims.iter().map(|claim| claim.node.as_str()).collect();
    nodes.sort_unstable();
    nodes
}

// === impl Bed ===

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            rustls::crypto::ring::default_provider()
                .install_default()
                .expect("nobody else installs one");
        });
        let api = KubeApi::start(options).await.unwrap();
        let cluster = KubeCluster::new(&api.config(CLIENT), DRIVER).unwrap();
        Self {
            api,
            cluster,
            watching: None,
        }
    }

    /// The same with the mirror running, once it has seen what there is.
    pub(crate) async fn watching(mut self) -> Self {
        assert!(self.watching.is_none(), "one mirror is enough");
        let stop = CancellationToken::new();
        tokio::spawn(self.cluster.watch(stop.clone()));
        self.watching = Some(stop.drop_guard());
        self.until(|cluster| cluster.counts().whole).await;
        self
    }

    /// Waits until the mirror shows it.
    pub(crate) async fn until(&self, so: impl Fn(&KubeCluster) -> bool) {
        let mut changes = self.cluster.changes();
        let seen = async {
            while !so(&self.cluster) {
                changes.changed().await.unwrap();
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "the mirror stays {:?}", self.cluster.counts());
    }

    pub(crate) fn fault(&self, times: u32, fault: Fault, verb: Verb, resource: &str) {
        let on = Matcher::of(verb, resource).by(CLIENT);
        self.api.faults().add(Rule::next(times, fault, on));
    }

    /// A volume with its PersistentVolume `pv-<digit>`.
    pub(crate) fn volume(&self, digit: char) {
        self.volume_as(digit, &format!("pv-{digit}"), &json!({}));
    }

    /// The same under another name, with more in its spec.
    pub(crate) fn volume_as(&self, digit: char, name: &str, more: &Value) {
        let mut spec = json!({
            "csi": {"driver": DRIVER, "volumeHandle": volume(digit).as_str()},
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": "apps", "name": format!("pvc-{digit}"), "uid": "pvc-uid"},
        });
        for (field, value) in more.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let object = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name}, "spec": spec,
        });
        let object: PersistentVolume = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    /// A Node with its CSINode, where our plugin reports `id`.
    pub(crate) fn node(&self, name: &str, id: &str) {
        self.machine(name, &json!([]));
        self.plugin(name, id);
    }

    pub(crate) fn machine(&self, name: &str, taints: &Value) {
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name}, "spec": {"taints": taints},
        });
        let object: Node = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    pub(crate) fn plugin(&self, name: &str, id: &str) {
        let object = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
            "metadata": {"name": name},
            "spec": {"drivers": [{"name": DRIVER, "nodeID": id}]},
        });
        let object: CSINode = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    /// The attachment of volume `digit` to a node whose id is its name: published and answered.
    pub(crate) fn attach(&self, digit: char, node_name: &str) {
        self.attach_with(digit, node_name, |_| ());
    }

    /// The same, changed.
    pub(crate) fn attach_with(
        &self,
        digit: char,
        node_name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let mut object = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {
                "name": name(digit, node_name),
                "finalizers": [format!("external-attacher/{}", DRIVER.replace('.', "-"))],
                "annotations": {"csi.alpha.kubernetes.io/node-id": node_name},
            },
            "spec": {
                "attacher": DRIVER, "nodeName": node_name,
                "source": {"persistentVolumeName": format!("pv-{digit}")},
            },
            "status": {
                "attached": true,
                "attachmentMetadata": {"nvme_nqn": format!("nqn.{digit}"), "nvme_hostnqn": "nqn.host"},
            },
        });
        change(&mut object);
        let object: VolumeAttachment = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    pub(crate) fn detach(&self, digit: char, node_name: &str) {
        let name = name(digit, node_name);
        assert!(self.api.evict::<VolumeAttachment>("", &name));
    }

    pub(crate) fn lose_volume(&self, digit: char) {
        let name = format!("pv-{digit}");
        assert!(self.api.evict::<PersistentVolume>("", &name));
    }

    /// How many LISTs of attachments have arrived.
    pub(crate) fn lists(&self) -> u64 {
        self.api.requests(Verb::List, ATTACHMENTS)
    }
}

/// The node's id is known from nothing but its CSINode.
pub(crate) fn unannotated(object: &mut Value) {
    object["metadata"]["annotations"] = json!({});
}

/// kube-controller-manager wants it gone.
pub(crate) fn deleting(object: &mut Value) {
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
}
