//! What users of the cluster do: claims, pods and StatefulSets, and waiting for what comes of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use rds_csi::workload::attachment_name;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::control_plane::ControlPlane;
use crate::node::OWNER;
use crate::trouble::{Attempt, Trouble};
use crate::watch::until;

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

// === Waiting ===

impl Workload {
    /// Waits until a claim has its volume.
    ///
    /// # Errors
    /// It has none within `limit`.
    pub async fn bound(&self, claim: &str, limit: Duration) -> Result<Volume, Trouble> {
        let is_bound = |claim: Option<&PersistentVolumeClaim>| {
            let status = claim.and_then(|claim| claim.status.as_ref());
            status.is_some_and(|status| status.phase.as_deref() == Some("Bound"))
        };
        let claim = until(self.here(), claim, "get bound", limit, is_bound).await?;
        let name = claim.and_then(|claim: PersistentVolumeClaim| claim.spec?.volume_name);
        let name = name.ok_or_else(|| Trouble::found("a bound claim names no volume"))?;
        let volumes = self.all::<PersistentVolume>();
        let volume = within(|| format!("read volume {name}"), volumes.get(&name)).await?;
        let source = volume.spec.and_then(|spec| spec.csi);
        let source = source.ok_or_else(|| Trouble::found(format!("{name} is no CSI volume")))?;
        Ok(Volume {
            name,
            handle: source.volume_handle,
        })
    }

    /// The name of the VolumeAttachment of a volume on a node.
    pub fn attachment(&self, volume: &Volume, node: &str) -> String {
        attachment_name(&volume.handle, &self.driver, node)
    }

    /// Waits until a volume is attached to a node.
    ///
    /// # Errors
    /// It is not within `limit`.
    pub async fn attached(
        &self,
        volume: &Volume,
        node: &str,
        limit: Duration,
    ) -> Result<VolumeAttachment, Trouble> {
        let name = self.attachment(volume, node);
        let is_attached = |one: Option<&VolumeAttachment>| {
            let status = one.and_then(|one| one.status.as_ref());
            status.is_some_and(|status| status.attached)
        };
        let seen = until(self.all(), &name, "attach", limit, is_attached).await?;
        seen.ok_or_else(|| Trouble::found("what is attached exists"))
    }

    /// Waits until the VolumeAttachment of a volume on a node is gone.
    ///
    /// # Errors
    /// It is still there after `limit`.
    pub async fn detached(
        &self,
        volume: &Volume,
        node: &str,
        limit: Duration,
    ) -> Result<(), Trouble> {
        self.gone(
            self.all::<VolumeAttachment>(),
            &self.attachment(volume, node),
            limit,
        )
        .await
    }

    /// Waits until a pod runs; gives the name of its node.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn running(&self, pod: &str, limit: Duration) -> Result<String, Trouble> {
        let runs = |pod: Option<&Pod>| {
            let is_leaving = pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some());
            let status = pod.and_then(|pod| pod.status.as_ref());
            let phase = status.and_then(|status| status.phase.as_deref());
            !is_leaving && phase == Some("Running")
        };
        let seen = until(self.here(), pod, "run", limit, runs).await?;
        let node = seen.and_then(|pod: Pod| pod.spec?.node_name);
        node.ok_or_else(|| Trouble::found(format!("{pod} runs on no node")))
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// It is still there after `limit`.
    pub async fn gone<K>(&self, api: Api<K>, name: &str, limit: Duration) -> Result<(), Trouble>
    where
        K: Resource<DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Serialize
            + fmt::Debug
            + Send
            + 'static,
    {
        let what = format!("go ({})", K::kind(&()));
        until(api, name, &what, limit, |one: Option<&K>| one.is_none())
            .await
            .map(drop)
    }

    /// What `kubectl events --for` prints about an object of the namespace, such as `pvc/data`.
    ///
    /// # Errors
    /// kubectl fails.
    pub async fn events(&self, of: &str) -> Result<String, Trouble> {
        let arguments = ["events", "--namespace", &self.namespace, "--for", of];
        let what = || format!("run kubectl {}", arguments.join(" "));
        let output = self.plane.kubectl(&arguments).await.attempt(what)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            return Err(text(&output.stderr)).attempt(what);
        }
        Ok(text(&output.stdout))
    }

    /// Waits until `kubectl events --for` prints something with all of these words in one line;
    /// gives that line.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn event(
        &self,
        of: &str,
        words: &[&str],
        limit: Duration,
    ) -> Result<String, Trouble> {
        let mut seen = String::new();
        let look = async {
            // kubectl takes a tenth of a second, so this is no busy loop.
            let mut ticks = tokio::time::interval(Duration::from_millis(500));
            loop {
                ticks.tick().await;
                seen = self.events(of).await?;
                let mut lines = seen.lines();
                let said = lines.find(|line| words.iter().all(|word| line.contains(word)));
                if let Some(line) = said {
                    return Ok(line.to_owned());
                }
            }
        };
        let said = timeout(limit, look).await;
        said.unwrap_or_else(|_| {
            let what = format!("no event of {of} with {words:?} within {limit:?}, but:\n{seen}");
            Err(Trouble::found(what))
        })
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
