//! What users of the cluster do: claims, pods and StatefulSets, and waiting for what comes of them.

mod told;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::control_plane::ControlPlane;
use crate::node::OWNER;
use crate::trouble::{Attempt, Trouble};

/// Only a failing test waits it out: everything here takes seconds on an idle machine.
pub const LONG: Duration = Duration::from_mins(2);
/// An API server answers in milliseconds; one that restarts, in seconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The user of one namespace and one StorageClass. Clones are the same user.
#[derive(Clone)]
pub struct Workload {
    pub(crate) plane: Arc<ControlPlane>,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) class: String,
    pub(crate) driver: String,
}

/// A pod to make.
#[derive(Clone, Debug, Default)]
pub struct PodWanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// The claims it mounts.
    pub claims: &'a [&'a str],
    /// Its node, if it matters; otherwise any node of the test.
    pub node: Option<&'a str>,
}

/// A claim to make.
#[derive(Clone, Copy, Debug)]
pub struct ClaimWanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its size in GiB.
    pub gib: u64,
    /// ReadWriteMany in block mode, for two nodes at once; otherwise ReadWriteOnce with a filesystem.
    pub shared_block: bool,
}

/// The volume behind a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The name of the PersistentVolume.
    pub name: String,
    /// The volume's id at the driver, which is its slot on the RDS.
    pub handle: String,
}

// === impl Workload ===

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Workload {
    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The StorageClass.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Objects of the namespace.
    pub fn here<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of the cluster.
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// Makes a claim of 1 GiB that one node may use.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn claim(&self, name: &str) -> Result<(), Trouble> {
        let wanted = ClaimWanted {
            name,
            gib: 1,
            shared_block: false,
        };
        self.make_claim(wanted).await
    }

    /// Makes a claim.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn make_claim(&self, wanted: ClaimWanted<'_>) -> Result<(), Trouble> {
        let metadata = json!({"name": wanted.name});
        let claim = json!({"metadata": metadata, "spec": self.claim_spec(wanted)});
        self.create::<PersistentVolumeClaim>(&self.here(), claim)
            .await
    }

    fn claim_spec(&self, wanted: ClaimWanted<'_>) -> Value {
        let (access, mode) = if wanted.shared_block {
            ("ReadWriteMany", "Block")
        } else {
            ("ReadWriteOnce", "Filesystem")
        };
        json!({
            "accessModes": [access], "volumeMode": mode, "storageClassName": self.class,
            "resources": {"requests": {"storage": format!("{}Gi", wanted.gib)}},
        })
    }

    /// Makes a pod.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn pod(&self, wanted: &PodWanted<'_>) -> Result<(), Trouble> {
        let volumes = wanted
            .claims
            .iter()
            .map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}}));
        let mut spec = self.pod_spec();
        spec.insert("volumes".to_owned(), volumes.collect());
        // A real kubelet waits for a volume only if a container mounts it.
        let mounts = wanted.claims.iter();
        let mounts = mounts.map(|claim| json!({"name": claim, "mountPath": format!("/{claim}")}));
        let mounts: Value = mounts.collect();
        let container = json!([{"name": "app", "image": "none", "volumeMounts": mounts}]);
        spec.insert("containers".to_owned(), container);
        if let Some(node) = wanted.node {
            let selector = json!({OWNER: self.namespace, "kubernetes.io/hostname": node});
            spec.insert("nodeSelector".to_owned(), selector);
        }
        let pod = json!({"metadata": {"name": wanted.name}, "spec": spec});
        self.create::<Pod>(&self.here(), pod).await
    }

    /// Makes a StatefulSet whose pods have a claim `data` of 1 GiB each: pod `NAME-0` has claim
    /// `data-NAME-0`.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn stateful_set(&self, name: &str, replicas: usize) -> Result<(), Trouble> {
        let labels = json!({"app": name});
        let wanted = ClaimWanted {
            name: "data",
            gib: 1,
            shared_block: false,
        };
        let mut pod = self.pod_spec();
        let mount = json!([{"name": "data", "mountPath": "/data"}]);
        let container = json!([{"name": "app", "image": "none", "volumeMounts": mount}]);
        pod.insert("containers".to_owned(), container);
        let set = json!({
            "metadata": {"name": name},
            "spec": {
                "serviceName": name, "replicas": replicas, "selector": {"matchLabels": labels},
                "podManagementPolicy": "Parallel",
                "template": {"metadata": {"labels": labels}, "spec": pod},
                "volumeClaimTemplates": [
                    {"metadata": {"name": "data"}, "spec": self.claim_spec(wanted)},
                ],
            },
        });
        self.create::<StatefulSet>(&self.here(), set).await
    }

    fn pod_spec(&self) -> serde_json::Map<String, Value> {
        let spec = [
            ("containers", json!([{"name": "app", "image": "none"}])),
            ("nodeSelector", json!({OWNER: self.namespace})),
            ("automountServiceAccountToken", json!(false)),
        ];
        spec.map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect()
    }

    /// Asks for more room in a volume.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn expand(&self, claim: &str, gib: u64) -> Result<(), Trouble> {
        let storage = json!({"storage": format!("{gib}Gi")});
        let patch = Patch::Merge(json!({"spec": {"resources": {"requests": storage}}}));
        let (claims, params) = (self.here::<PersistentVolumeClaim>(), PatchParams::default());
        let call = claims.patch(claim, &params, &patch);
        within(|| format!("expand claim {claim}"), call)
            .await
            .map(drop)
    }

    /// Deletes an object of the namespace, gracefully. What is gone already counts as deleted.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn delete<K>(&self, name: &str) -> Result<(), Trouble>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + fmt::Debug,
    {
        let (objects, params) = (self.here::<K>(), DeleteParams::default());
        let call = async {
            match objects.delete(name, &params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => other.map(drop),
            }
        };
        within(|| format!("delete {} {name}", K::kind(&())), call).await
    }

    async fn create<K>(&self, api: &Api<K>, object: Value) -> Result<(), Trouble>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + fmt::Debug,
    {
        let what = || format!("make a {}", K::kind(&()));
        let object = serde_json::from_value(object).attempt(what)?;
        let params = PostParams::default();
        within(what, api.create(&params, &object)).await.map(drop)
    }
}

async fn within<T>(
    what: impl Fn() -> String,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Trouble> {
    timeout(CALL_LIMIT, call)
        .await
        .attempt(&what)?
        .attempt(&what)
}
