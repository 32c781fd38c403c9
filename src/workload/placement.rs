//! What kube-scheduler, external-provisioner and kube-controller-manager would have done: objects
//! that mean "this volume, on that node".

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::objects::{attachment_name, is_attached};

/// Where claims are.
pub const NAMESPACE: &str = "default";
/// A local API answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// kube-controller-manager looks twice a second; we measure the driver, not the looking.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Taken by an administrator for proof that a machine is off.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Makes and removes objects as the parts of Kubernetes do that decide where volumes go.
#[derive(Clone)]
pub struct Placement {
    client: Client,
    driver: String,
}

/// A volume to make known to Kubernetes.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    /// The name of the PersistentVolume; the claim has the same name.
    pub name: String,
    /// The volume id that CreateVolume answered.
    pub handle: String,
    /// The volume context that CreateVolume answered.
    pub context: BTreeMap<String, String>,
    /// A raw block device that two nodes may have, for live migration. Otherwise a filesystem that
    /// one node may have.
    pub shared_block: bool,
}

/// Something did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    /// The API refused, or could not be reached.
    #[error("cannot {what}")]
    Api {
        /// What was asked of it.
        what: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// It was waited for long enough.
    #[error("{what} did not happen within {limit:?}; last seen: {seen}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The state at the end.
        seen: String,
    },
}

// === impl Placement ===

impl Debug for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut placement = f.debug_struct("Placement");
        placement.field("driver", &self.driver);
        placement.finish_non_exhaustive()
    }
}

impl Placement {
    /// For the volumes of one driver.
    pub fn new(client: Client, driver: &str) -> Self {
        Self {
            client,
            driver: driver.to_owned(),
        }
    }

    /// The name of the attachment of a volume to a node.
    pub fn attachment(&self, volume: &Volume, node: &str) -> String {
        attachment_name(&volume.handle, &self.driver, node)
    }

    /// A node whose plugin has registered under the node's own name.
    ///
    /// # Errors
    /// [`PlacementError::Api`].
    pub async fn add_node(&self, name: &str) -> Result<(), PlacementError> {
        let node = json!({"metadata": {"name": name}});
        self.create::<Node>(&self.all(), node).await?;
        let drivers = json!([{"name": self.driver, "nodeID": name, "topologyKeys": []}]);
        let node = json!({"metadata": {"name": name}, "spec": {"drivers": drivers}});
        self.create::<CSINode>(&self.all(), node).await
    }

    /// The node's objects go, as when a cloud removes the machine. That it is off is not said.
    ///
    /// # Errors
    /// [`PlacementError::Api`].
    pub async fn remove_node(&self, name: &str) -> Result<(), PlacementError> {
        self.delete::<CSINode>(name).await?;
        self.delete::<Node>(name).await
    }

    /// An administrator vouches that the node's machine is off.
    ///
    /// # Errors
    /// [`PlacementError::Api`].
    pub async fn taint_out_of_service(&self, name: &str) -> Result<(), PlacementError> {
        let taint =
            json!([{"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}]);
        let patch = Patch::Merge(json!({"spec": {"taints": taint}}));
        let (nodes, params) = (self.all::<Node>(), PatchParams::default());
        let call = nodes.patch(name, &params, &patch);
        within(&format!("taint node {name}"), call).await.map(drop)
    }

    /// A PersistentVolume and the claim it is bound to.
    ///
    /// # Errors
    /// [`PlacementError::Api`].
    pub async fn add_volume(&self, volume: &Volume) -> Result<(), PlacementError> {
        let name = &volume.name;
        let (mode, access) = if volume.shared_block {
            ("Block", "ReadWriteMany")
        } else {
            ("Filesystem", "ReadWriteOnce")
        };
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), NAMESPACE);
        let claim = json!({
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "accessModes": [access], "volumeMode": mode, "volumeName": name,
                "storageClassName": "rds", "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        self.create(&claims, claim).await?;
        let get = claims.get(name);
        let uid = within(&format!("read claim {name}"), get).await?.uid();
        let persistent = json!({
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": [access], "volumeMode": mode,
                "storageClassName": "rds", "persistentVolumeReclaimPolicy": "Delete",
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "namespace": NAMESPACE, "name": name, "uid": uid,
                },
                "csi": {
                    "driver": self.driver, "volumeHandle": volume.handle,
                    "volumeAttributes": volume.context,
                    "fsType": if volume.shared_block { "" } else { "ext4" },
                },
            },
        });
        self.create::<PersistentVolume>(&self.all(), persistent)
            .await?;
        let bound = Patch::Merge(json!({"status": {"phase": "Bound"}}));
        let params = PatchParams::default();
        let call = claims.patch_status(name, &params, &bound);
        within(&format!("bind claim {name}"), call).await?;
        let volumes = self.all::<PersistentVolume>();
        let call = volumes.patch_status(name, &params, &bound);
        within(&format!("bind volume {name}"), call).await.map(drop)
    }

    /// The volume's objects go. The PersistentVolume stays until its attachments are gone.
    ///
    /// # Errors
    /// [`PlacementError::Api`].
    pub async fn remove_volume(&self, volume: &Volume) -> Result<(), PlacementError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), NAMESPACE);
        delete_from(&claims, &volume.name).await?;
        self.delete::<PersistentVolume>(&volume.name).await
    }
}

// === Attachments ===

impl Placement {
    /// Asks for a volume on a node; returns the name of the attachment. Whether another node has the
    /// volume is not looked at: after a restart kube-controller-manager may not know either.
    ///
    /// # Errors
    /// [`PlacementError::Api`], also where that attachment exists.
    pub async fn attach(&self, volume: &Volume, node: &str) -> Result<String, PlacementError> {
        let name = self.attachment(volume, node);
        let made = json!({
            "metadata": {"name": name},
            "spec": {
                "attacher": self.driver, "nodeName": node,
                "source": {"persistentVolumeName": volume.name},
            },
        });
        self.create::<VolumeAttachment>(&self.all(), made).await?;
        Ok(name)
    }

    /// Waits until the attachment is made; returns what the node is told.
    ///
    /// # Errors
    /// [`PlacementError`].
    pub async fn attached(
        &self,
        name: &str,
        limit: Duration,
    ) -> Result<BTreeMap<String, String>, PlacementError> {
        let made = |attachment: Option<&VolumeAttachment>| attachment.is_some_and(is_attached);
        let what = format!("attach {name}");
        let attachment = self.wait(&what, name, limit, made).await?;
        let status = attachment.and_then(|attachment| attachment.status);
        let told = status.and_then(|status| status.attachment_metadata);
        Ok(told.unwrap_or_default())
    }

    /// Waits until the attachment says why it was not made; returns that.
    ///
    /// # Errors
    /// [`PlacementError`].
    pub async fn refused(&self, name: &str, limit: Duration) -> Result<String, PlacementError> {
        fn error(attachment: Option<&VolumeAttachment>) -> Option<String> {
            let error = attachment?.status.as_ref()?.attach_error.as_ref()?;
            error.message.clone()
        }
        let has_error = |attachment: Option<&VolumeAttachment>| error(attachment).is_some();
        let what = format!("refuse to attach {name}");
        let attachment = self.wait(&what, name, limit, has_error).await?;
        Ok(error(attachment.as_ref()).unwrap_or_default())
    }

    /// Asks for the end of an attachment.
    ///
    /// # Errors
    /// [`PlacementError::Api`], not where it is gone already.
    pub async fn detach(&self, name: &str) -> Result<(), PlacementError> {
        self.delete::<VolumeAttachment>(name).await
    }

    /// Waits until the attachment is gone, which is the only sign that the node is out.
    ///
    /// # Errors
    /// [`PlacementError`].
    pub async fn gone(&self, name: &str, limit: Duration) -> Result<(), PlacementError> {
        let gone = |attachment: Option<&VolumeAttachment>| attachment.is_none();
        let what = format!("detach {name}");
        self.wait(&what, name, limit, gone).await.map(drop)
    }

    /// The attachment as it is now.
    ///
    /// # Errors
    /// [`PlacementError::Api`].
    pub async fn look(&self, name: &str) -> Result<Option<VolumeAttachment>, PlacementError> {
        let attachments = self.all::<VolumeAttachment>();
        let call = attachments.get_opt(name);
        within(&format!("read attachment {name}"), call).await
    }

    async fn wait(
        &self,
        what: &str,
        name: &str,
        limit: Duration,
        is_it: impl Fn(Option<&VolumeAttachment>) -> bool,
    ) -> Result<Option<VolumeAttachment>, PlacementError> {
        let start = Instant::now();
        loop {
            let seen = self.look(name).await;
            if let Ok(attachment) = &seen
                && is_it(attachment.as_ref())
            {
                return seen;
            }
            if start.elapsed() >= limit {
                return Err(PlacementError::Late {
                    what: what.to_owned(),
                    limit,
                    seen: seen.map_or_else(|error| error.to_string(), |seen| shown(seen.as_ref())),
                });
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

// === Calls ===

impl Placement {
    fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    async fn create<K>(&self, api: &Api<K>, object: Value) -> Result<(), PlacementError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let what = format!("create {}", K::kind(&()));
        let object = serde_json::from_value(object)
            .map_err(kube::Error::SerdeError)
            .map_err(|error| failed(&what, error))?;
        let params = PostParams::default();
        within(&what, api.create(&params, &object)).await.map(drop)
    }

    async fn delete<K>(&self, name: &str) -> Result<(), PlacementError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        delete_from::<K>(&self.all(), name).await
    }
}

/// What is gone already counts as deleted.
async fn delete_from<K>(api: &Api<K>, name: &str) -> Result<(), PlacementError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let params = DeleteParams::default();
    let what = format!("delete {} {name}", K::kind(&()));
    match within(&what, api.delete(name, &params)).await {
        Err(PlacementError::Api { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => {
            Ok(())
        }
        other => other.map(drop),
    }
}

async fn within<T>(
    what: &str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, PlacementError> {
    match timeout(CALL_LIMIT, call).await {
        Ok(answer) => answer.map_err(|error| failed(what, error)),
        Err(_) => Err(PlacementError::Late {
            what: what.to_owned(),
            limit: CALL_LIMIT,
            seen: "no answer".to_owned(),
        }),
    }
}

fn failed(what: &str, error: kube::Error) -> PlacementError {
    PlacementError::Api {
        what: what.to_owned(),
        source: Box::new(error),
    }
}

fn shown(attachment: Option<&VolumeAttachment>) -> String {
    attachment.map_or_else(
        || "no such attachment".to_owned(),
        |attachment| {
            let leaving = attachment.metadata.deletion_timestamp.is_some();
            format!("deleting: {leaving}, {:?}", attachment.status)
        },
    )
}
