//! What external-attacher writes to the API: merge patches without a resourceVersion, so that a late
//! one lands.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::handler::Failure;
use crate::workload::objects::{NODE_ID, has_finalizer};

/// An API that has not answered by then is taken for gone; the attachment is tried again.
const LIMIT: Duration = Duration::from_secs(10);

/// The writer.
#[derive(Clone, Debug)]
pub(super) struct Writes {
    attachments: Api<VolumeAttachment>,
    volumes: Api<PersistentVolume>,
    finalizer: String,
}

// === impl Writes ===

impl Writes {
    pub(super) fn new(client: &Client, finalizer: String) -> Self {
        Self {
            attachments: Api::all(client.clone()),
            volumes: Api::all(client.clone()),
            finalizer,
        }
    }

    /// Holds the PersistentVolume for as long as an attachment may need it.
    pub(super) async fn hold_volume(&self, volume: &PersistentVolume) -> Result<(), Failure> {
        if has_finalizer(volume, &self.finalizer) {
            return Ok(());
        }
        let patch = json!({"metadata": {"finalizers": self.with(volume.finalizers())}});
        self.patch_volume(&volume.name_any(), patch).await
    }

    pub(super) async fn release_volume(&self, volume: &PersistentVolume) -> Result<(), Failure> {
        let patch = json!({"metadata": {"finalizers": self.without(volume.finalizers())}});
        self.patch_volume(&volume.name_any(), patch).await
    }

    /// Marks an attachment as "Publish may have been called", in one patch: whatever reads it later
    /// finds both the finalizer and the node id, or neither.
    pub(super) async fn mark(
        &self,
        attachment: &VolumeAttachment,
        node_id: &str,
    ) -> Result<(), Failure> {
        let noted = attachment.annotations().get(NODE_ID);
        if has_finalizer(attachment, &self.finalizer) && noted.is_some_and(|id| id == node_id) {
            return Ok(());
        }
        let patch = json!({"metadata": {
            "finalizers": self.with(attachment.finalizers()),
            "annotations": {NODE_ID: node_id},
        }});
        let name = attachment.name_any();
        self.patch(
            self.attachments
                .patch(&name, &PatchParams::default(), &Patch::Merge(patch)),
        )
        .await
    }

    /// The last word of an attach. What an earlier answer had and this one has not goes.
    pub(super) async fn attached(
        &self,
        attachment: &VolumeAttachment,
        context: HashMap<String, String>,
    ) -> Result<(), Failure> {
        let status = attachment.status.as_ref();
        let before = status.and_then(|status| status.attachment_metadata.clone());
        let before: BTreeMap<String, String> = before.unwrap_or_default();
        let gone = before.into_keys().map(|key| (key, Value::Null));
        let told = context
            .into_iter()
            .map(|(key, value)| (key, Value::String(value)));
        let metadata: Map<String, Value> = gone.chain(told).collect();
        let patch = json!({"status": {
            "attached": true, "attachmentMetadata": metadata, "attachError": null,
        }});
        self.status(&attachment.name_any(), patch).await
    }

    /// The last words of a detach: the finalizer goes first, and often the object with it.
    pub(super) async fn detached(&self, attachment: &VolumeAttachment) -> Result<(), Failure> {
        let name = attachment.name_any();
        let patch = json!({"metadata": {"finalizers": self.without(attachment.finalizers())}});
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        gone_is_fine(
            self.patch(self.attachments.patch(&name, &params, &patch))
                .await,
        )?;
        let patch = json!({"status": {
            "attached": false, "attachmentMetadata": null, "detachError": null,
        }});
        gone_is_fine(self.status(&name, patch).await)
    }

    /// Leaves an error where kube-controller-manager and people find it.
    pub(super) async fn failed(
        &self,
        attachment: &VolumeAttachment,
        field: &str,
        error: &Failure,
    ) -> Result<(), Failure> {
        let patch = error_patch(field, error, Timestamp::now());
        self.status(&attachment.name_any(), patch).await
    }

    async fn status(&self, name: &str, patch: Value) -> Result<(), Failure> {
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        self.patch(self.attachments.patch_status(name, &params, &patch))
            .await
    }

    async fn patch_volume(&self, name: &str, patch: Value) -> Result<(), Failure> {
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        self.patch(self.volumes.patch(name, &params, &patch)).await
    }

    async fn patch<K>(&self, sent: impl Future<Output = kube::Result<K>>) -> Result<(), Failure> {
        match timeout(LIMIT, sent).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::Api(Box::new(error))),
            Err(_) => Err(Failure::ApiLate(LIMIT)),
        }
    }

    fn with(&self, finalizers: &[String]) -> Vec<String> {
        let mut finalizers = self.without(finalizers);
        finalizers.push(self.finalizer.clone());
        finalizers
    }

    fn without(&self, finalizers: &[String]) -> Vec<String> {
        let others = finalizers.iter().filter(|name| **name != self.finalizer);
        others.cloned().collect()
    }
}

/// An error and, as with the stock attacher, nothing else: what we know of the rest may be of an object
/// that had this name before.
fn error_patch(field: &str, error: &Failure, at: Timestamp) -> Value {
    let error = json!({"message": error.to_string(), "time": at});
    json!({"status": {field: error}})
}

/// The object went with its last finalizer.
fn gone_is_fine(patched: Result<(), Failure>) -> Result<(), Failure> {
    match patched {
        Err(Failure::Api(error)) if is_gone(&error) => Ok(()),
        other => other,
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_changes_nothing_else_of_an_attachment() {
        let at = Timestamp::UNIX_EPOCH;
        for field in ["attachError", "detachError"] {
            let patch = error_patch(field, &Failure::Leaving("pv-1".to_owned()), at);
            let message = "PersistentVolume pv-1 is marked for deletion";
            let error = json!({"message": message, "time": "1970-01-01T00:00:00Z"});
            assert_eq!(patch, json!({"status": {field: error}}));
        }
    }
}
