//! Objects made by hand where the pace of kube-controller-manager is not what is measured.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource};
use rds_csi::workload::{attachment_name, finalizer_name};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::Volume;

/// Requests at a time: enough to keep an API server on two processors busy.
const AT_ONCE: usize = 32;

/// Who makes objects, and for which driver.
#[derive(Clone)]
pub(crate) struct Seed {
    pub(crate) client: Client,
    pub(crate) driver: String,
    pub(crate) namespace: String,
}

// === impl Seed ===

impl Seed {
    /// A PersistentVolume for each volume, as bound to a claim of the same name: events go there.
    pub(crate) async fn volumes(&self, volumes: &[Volume]) -> anyhow::Result<()> {
        let objects = volumes.iter().map(|volume| {
            let name = volume_name(volume);
            json!({
                "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "by-hand",
                    "claimRef": {
                        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                        "namespace": self.namespace, "name": name, "uid": name,
                    },
                    "csi": {
                        "driver": self.driver, "volumeHandle": volume.id,
                        "volumeAttributes": volume.context, "fsType": "ext4",
                    },
                },
            })
        });
        self.create::<PersistentVolume>(objects.collect()).await
    }

    /// A CSINode for each node that the volumes name.
    pub(crate) async fn nodes(&self, volumes: &[Volume]) -> anyhow::Result<()> {
        let mut names: Vec<&String> = volumes.iter().map(|volume| &volume.node).collect();
        names.sort_unstable();
        names.dedup();
        let objects = names.iter().map(|name| {
            let drivers = json!([{"name": self.driver, "nodeID": name, "topologyKeys": []}]);
            json!({"metadata": {"name": name}, "spec": {"drivers": drivers}})
        });
        self.create::<CSINode>(objects.collect()).await
    }

    /// Asks for each volume on its node, as the attach/detach controller does.
    pub(crate) async fn attach(&self, volumes: &[Volume]) -> anyhow::Result<()> {
        self.create::<VolumeAttachment>(self.attachments(volumes, &[]))
            .await
    }

    /// Attachments of a moment later: being deleted, and held by external-attacher until the driver
    /// has answered.
    pub(crate) async fn leaving(&self, volumes: &[Volume]) -> anyhow::Result<()> {
        let held = [finalizer_name(&self.driver)];
        self.create::<VolumeAttachment>(self.attachments(volumes, &held))
            .await?;
        self.detach(volumes).await
    }

    /// Deletes the attachment of each volume.
    pub(crate) async fn detach(&self, volumes: &[Volume]) -> anyhow::Result<()> {
        let attachments: Api<VolumeAttachment> = Api::all(self.client.clone());
        let (attachments, params) = (&attachments, &DeleteParams::default());
        stream::iter(volumes)
            .map(|volume| async move {
                let name = attachment_name(&volume.id, &self.driver, &volume.node);
                attachments.delete(&name, params).await.map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(())
    }

    fn attachments(&self, volumes: &[Volume], finalizers: &[String]) -> Vec<Value> {
        let objects = volumes.iter().map(|volume| {
            let name = attachment_name(&volume.id, &self.driver, &volume.node);
            let source = json!({"persistentVolumeName": volume_name(volume)});
            json!({
                "metadata": {"name": name, "finalizers": finalizers},
                "spec": {"attacher": self.driver, "nodeName": volume.node, "source": source},
            })
        });
        objects.collect()
    }

    async fn create<K>(&self, objects: Vec<Value>) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let (api, params) = (&api, &PostParams::default());
        stream::iter(objects)
            .map(|object| async move {
                let object: K = serde_json::from_value(object)?;
                api.create(params, &object).await?;
                anyhow::Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }
}

/// The name of a volume's PersistentVolume, and of its claim.
fn volume_name(volume: &Volume) -> String {
    format!("pv-{}", volume.id)
}
