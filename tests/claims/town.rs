//! A simulated RDS with machines, and a Kubernetes API with what kube-controller-manager and
//! external-attacher would have put there.

use k8s_openapi::api::core::v1::{Event as ServedEvent, Node, PersistentVolume};
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use rds_csi::domain::claim::Attachment;
use rds_csi::domain::grant::{FencingMode, Scheme};
use rds_csi::domain::id::{ClusterId, VolumeId};
use rds_csi::domain::leadership::Epoch;
use rds_csi::domain::names::{Names, Tail};
use rds_csi::sim::initiator::Written;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::sim::kubernetes::{KubeApi, Options, Verb};
use serde_json::{Value, json};

use crate::bed::{Bed, Context};
use crate::leader::CLIENT;

pub(crate) const DRIVER: &str = "rds.csi.srvlab.io";
pub(crate) const ATTACHMENTS: &str = "volumeattachments";
/// The record that a pair had its one chance to come back.
pub(crate) const REMADE: &str = "rds.csi.srvlab.io/remade";
/// Where claims are.
pub(crate) const APPS: &str = "apps";
/// Machines that Kubernetes knows.
const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

/// The world around a driver.
pub(crate) struct Town {
    pub(crate) bed: Bed,
    pub(crate) api: KubeApi,
}

// === impl Town ===

impl Town {
    /// Three nodes, and nothing on the RDS.
    pub(crate) async fn new() -> Self {
        // The controllers of the tests with processes may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let town = Self {
            bed: Bed::new(),
            api: KubeApi::start(Options::default()).await.unwrap(),
        };
        for node in NODES {
            town.node(node);
        }
        town
    }

    // === nodes ===

    /// A Node, and a CSINode where the plugin reports the node's own name.
    pub(crate) fn node(&self, name: &str) {
        self.tainted(name, &json!([]));
        let object = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
            "metadata": {"name": name},
            "spec": {"drivers": [{"name": DRIVER, "nodeID": name}]},
        });
        let object: CSINode = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    fn tainted(&self, name: &str, taints: &Value) {
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name}, "spec": {"taints": taints},
        });
        let object: Node = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    /// Somebody vouches that the machine is off.
    pub(crate) fn out_of_service(&self, name: &str) {
        let key = "node.kubernetes.io/out-of-service";
        self.tainted(name, &json!([{"key": key, "effect": "NoExecute"}]));
    }

    /// The objects go; the machine may go on.
    pub(crate) fn lose_node(&self, name: &str) {
        assert!(self.api.evict::<Node>("", name));
        assert!(self.api.evict::<CSINode>("", name));
    }

    // === volumes ===

    /// The PersistentVolume of a volume, with the claim `pvc-<volume>`.
    pub(crate) fn volume(&self, id: &VolumeId, shared: bool) {
        let (mode, access) = if shared {
            ("Block", "ReadWriteMany")
        } else {
            ("Filesystem", "ReadWriteOnce")
        };
        let object = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": format!("pv-{id}")},
            "spec": {
                "csi": {"driver": DRIVER, "volumeHandle": id.as_str()},
                "accessModes": [access], "volumeMode": mode, "capacity": {"storage": "1Gi"},
                "claimRef": {"namespace": APPS, "name": format!("pvc-{id}"), "uid": "pvc-uid"},
            },
        });
        let object: PersistentVolume = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    pub(crate) fn lose_volume(&self, id: &VolumeId) {
        assert!(self.api.evict::<PersistentVolume>("", &format!("pv-{id}")));
    }

    // === attachments ===

    /// kube-controller-manager wants the volume on the node, and external-attacher has begun.
    pub(crate) fn want(&self, id: &VolumeId, node: &str) {
        let object = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {
                "name": Attachment::name_of(id, DRIVER, node),
                "finalizers": [format!("external-attacher/{}", DRIVER.replace('.', "-"))],
                "annotations": {"csi.alpha.kubernetes.io/node-id": node},
            },
            "spec": {
                "attacher": DRIVER, "nodeName": node,
                "source": {"persistentVolumeName": format!("pv-{id}")},
            },
            "status": {"attached": false},
        });
        let object: VolumeAttachment = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    /// external-attacher records that the volume is attached, and what the node is told.
    pub(crate) fn attached(&self, id: &VolumeId, node: &str, told: &Context) {
        self.edit(id, node, |object| {
            object["status"] = json!({"attached": true, "attachmentMetadata": told});
        });
    }

    /// kube-controller-manager wants the attachment gone.
    pub(crate) fn unwant(&self, id: &VolumeId, node: &str) {
        self.edit(id, node, |object| {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        });
    }

    /// The object goes, whatever its finalizers say.
    pub(crate) fn forget(&self, id: &VolumeId, node: &str) {
        let name = Attachment::name_of(id, DRIVER, node);
        assert!(self.api.evict::<VolumeAttachment>("", &name));
    }

    /// The object is written again, changed. Its uid stays.
    pub(crate) fn edit(&self, id: &VolumeId, node: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.attachment(id, node);
        change(&mut object);
        let object: VolumeAttachment = serde_json::from_value(object).unwrap();
        self.api.seed(&object).unwrap();
    }

    /// The object.
    pub(crate) fn attachment(&self, id: &VolumeId, node: &str) -> Value {
        let name = Attachment::name_of(id, DRIVER, node);
        let all = self.api.objects::<VolumeAttachment>().into_iter();
        let mut named = all.filter(|object| object.metadata.name.as_ref() == Some(&name));
        let found = named.next();
        serde_json::to_value(found.expect("there is such an attachment")).unwrap()
    }

    /// The pair whose one chance to come back is spent, as the attachment says.
    pub(crate) fn remade(&self, id: &VolumeId, node: &str) -> Option<String> {
        let object = self.attachment(id, node);
        let record = object["metadata"]["annotations"].get(REMADE)?;
        record.as_str().map(ToOwned::to_owned)
    }

    /// What `kubectl events --for pvc/…` shows of a volume.
    pub(crate) fn events(&self, id: &VolumeId) -> Vec<(String, String)> {
        let claim = format!("pvc-{id}");
        let events = self.api.objects::<ServedEvent>().into_iter();
        let of_claim = events.filter(|event| {
            let about = &event.involved_object;
            about.kind.as_deref() == Some("PersistentVolumeClaim")
                && about.name.as_ref() == Some(&claim)
        });
        of_claim
            .map(|event| {
                let text = |part: Option<String>| part.unwrap_or_default();
                (text(event.reason), text(event.message))
            })
            .collect()
    }

    /// The API goes wrong for the driver.
    pub(crate) fn refuse(&self, verb: Verb, resource: &str) {
        let on = Matcher::of(verb, resource).by(CLIENT);
        let fault = Fault::Error { code: 503 };
        self.api.faults().add(Rule::always(fault, on));
    }

    // === machines and the RDS ===

    /// The node connects with what it was told, and writes.
    #[track_caller]
    pub(crate) fn stage(&self, node: &str, id: &VolumeId, told: &Context) {
        self.bed.machine(node).stage(told).unwrap();
        self.write(node, id);
    }

    #[track_caller]
    pub(crate) fn write(&self, node: &str, id: &VolumeId) {
        let written = self.bed.machine(node).write(id.as_str());
        assert_eq!(written, Written::Done, "{node} writes");
    }

    /// The node notices what happened to its session, and connects again by itself if it can.
    pub(crate) fn reconnects(&self, node: &str) -> bool {
        let machine = self.bed.machine(node);
        machine.notice();
        machine.reconnect_now();
        machine.view().live_paths() > 0
    }

    /// Names and export of the volume's entry, as the RDS has them.
    pub(crate) fn register(&self, id: &VolumeId) -> (String, String, bool) {
        let disk = self
            .bed
            .world()
            .disk(id.as_str())
            .expect("there is an entry");
        (disk.subsystem_nqn, disk.allow_host_name, disk.exported)
    }

    /// Whether the RDS lets in whoever was told this, and nobody else.
    pub(crate) fn grants(&self, id: &VolumeId, told: &Context) -> bool {
        let names = (told["nvme_nqn"].clone(), told["nvme_hostnqn"].clone());
        self.register(id) == (names.0, names.1, true)
    }

    pub(crate) fn is_free(&self, id: &VolumeId) -> bool {
        let (subsystem, host, exported) = self.register(id);
        !exported && subsystem.contains(":free:") && host.contains(":free:")
    }

    /// Somebody writes names and export on the RDS.
    pub(crate) async fn by_hand(&self, id: &VolumeId, subsystem: &str, host: &str, exported: bool) {
        let export = if exported { "yes" } else { "no" };
        let line = format!(
            "/disk set [find where slot=\"{id}\"] nvme-tcp-server-nqn=\"{subsystem}\" nvme-tcp-server-allow-host-name=\"{host}\" nvme-tcp-export={export}"
        );
        self.bed.by_hand(&line).await;
    }
}

/// Names of a grant or a free volume that no controller has ever written.
pub(crate) fn names(id: &VolumeId, holder: &str, random: u64) -> Names {
    let scheme = Scheme {
        mode: FencingMode::Pair,
        cluster: "test".parse::<ClusterId>().unwrap().tag(),
    };
    let tail = Tail {
        epoch: Epoch::from_record(1),
        unix_seconds: 1_700_000_000,
        random,
    };
    let free = scheme.first_names(id, tail);
    if holder == "free" {
        return free;
    }
    scheme
        .fresh_pair(id, &holder.parse().unwrap(), &free, tail)
        .names
}

/// What a node would be told of such names.
pub(crate) fn told(names: &Names) -> Context {
    let text = |name: &Option<String>| name.clone().unwrap_or_default();
    let entries = [
        ("nvme_address", "127.0.0.1".to_owned()),
        ("nvme_port", "4420".to_owned()),
        ("nvme_nqn", text(&names.subsystem)),
        ("nvme_hostnqn", text(&names.host)),
        ("fs_type", "ext4".to_owned()),
    ];
    entries.map(|(key, value)| (key.to_owned(), value)).into()
}
