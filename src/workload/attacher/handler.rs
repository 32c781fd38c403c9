//! One attachment, brought one step on: attach, detach, and what is written before and after.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolume};
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use kube::ResourceExt as _;
use tokio::time::Instant;

use super::Shared;
use super::calls::{CallError, Link, answer, within};
use super::journal::{Call, What};
use super::queue::Key;
use super::request::{publish, source, volume_name};
use super::writes::Writes;
use crate::proto::csi::ControllerUnpublishVolumeRequest;
use crate::workload::cache::Cache;
use crate::workload::objects::{NODE_ID, has_finalizer, is_attached, is_leaving, node_id};
use crate::workload::secrets;

/// Why an attachment did not get on. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An object that is needed is not there.
    #[error("{what} {name} not found")]
    Missing {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The PersistentVolume is being deleted.
    #[error("PersistentVolume {0} is marked for deletion")]
    Leaving(String),
    /// The API refused, or could not be reached.
    #[error("Kubernetes API: {0}")]
    Api(#[source] Box<kube::Error>),
    /// The API did not answer.
    #[error("Kubernetes API: no answer within {0:?}")]
    ApiLate(Duration),
    /// The driver refused.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Everything a worker needs.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Link,
    pub(super) writes: Writes,
    pub(super) driver: String,
    pub(super) finalizer: String,
    pub(super) multi_writer: bool,
    pub(super) attachments: Cache<VolumeAttachment>,
    pub(super) volumes: Cache<PersistentVolume>,
    pub(super) nodes: Cache<CSINode>,
    /// Attachments for which the driver is called even if their status looks right.
    pub(super) forced: Mutex<BTreeSet<String>>,
}

// === impl Handler ===

impl Handler {
    pub(super) async fn sync(&self, key: &Key) -> Result<(), Failure> {
        match key {
            Key::Attachment(name) => {
                let forced = self.is_forced(name);
                let Some(attachment) = self.attachments.get(name) else {
                    return Ok(());
                };
                if attachment.spec.attacher != self.driver {
                    return Ok(());
                }
                if is_leaving(&*attachment) {
                    self.detach(&attachment, forced).await
                } else if forced || !is_attached(&attachment) {
                    self.attach(&attachment).await
                } else {
                    Ok(())
                }
            }
            Key::Volume(name) => self.volume(name).await,
        }
    }

    /// From the next look on, the driver is called whatever the status says.
    pub(super) fn force(&self, name: &str) {
        let mut forced = self.forced.lock().unwrap_or_else(PoisonError::into_inner);
        forced.insert(name.to_owned());
    }

    fn is_forced(&self, name: &str) -> bool {
        let mut forced = self.forced.lock().unwrap_or_else(PoisonError::into_inner);
        forced.remove(name)
    }

    async fn attach(&self, attachment: &VolumeAttachment) -> Result<(), Failure> {
        match self.publish(attachment).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let noted = self.writes.failed(attachment, "attachError", &error).await;
                log_unless_ok(noted);
                Err(error)
            }
        }
    }

    async fn publish(&self, attachment: &VolumeAttachment) -> Result<(), Failure> {
        let volume = self.volume_of(attachment)?;
        if is_leaving(&*volume) {
            return Err(Failure::Leaving(volume.name_any()));
        }
        self.writes.hold_volume(&volume).await?;
        let source = self.source_of(&volume)?;
        let node = self.node_id(attachment)?;
        // Before the call: an attachment without this mark was never published.
        self.writes.mark(attachment, &node).await?;

        let limit = self.shared.options.pace.call;
        let request = publish(&volume, source, &node, self.multi_writer);
        let mut controller = self.link.controller.clone();
        let start = Instant::now();
        let call = controller.controller_publish_volume(within(limit, request));
        let answered = answer(limit, call).await;
        let noted = call_of(attachment, start, answered.as_ref().err());
        self.shared.note(What::Published(noted));
        let context = answered?.publish_context;
        self.writes.attached(attachment, context).await
    }

    async fn detach(&self, attachment: &VolumeAttachment, forced: bool) -> Result<(), Failure> {
        if !forced && !has_finalizer(attachment, &self.finalizer) {
            // Detached already; somebody else holds the object.
            return Ok(());
        }
        match self.unpublish(attachment).await {
            Ok(()) => self.writes.detached(attachment).await,
            Err(error) => {
                let noted = self.writes.failed(attachment, "detachError", &error).await;
                log_unless_ok(noted);
                Err(error)
            }
        }
    }

    async fn unpublish(&self, attachment: &VolumeAttachment) -> Result<(), Failure> {
        let volume = self.volume_of(attachment)?;
        let source = self.source_of(&volume)?;
        let request = ControllerUnpublishVolumeRequest {
            volume_id: source.volume_handle.clone(),
            node_id: self.known_node_id(attachment)?,
            secrets: secrets::of_a_call(),
        };
        let limit = self.shared.options.pace.call;
        let mut controller = self.link.controller.clone();
        let start = Instant::now();
        let call = controller.controller_unpublish_volume(within(limit, request));
        let answered = answer(limit, call).await;
        let noted = call_of(attachment, start, answered.as_ref().err());
        self.shared.note(What::Unpublished(noted));
        answered?;
        Ok(())
    }

    /// A PersistentVolume may go once no attachment names it.
    async fn volume(&self, name: &str) -> Result<(), Failure> {
        let Some(volume) = self.volumes.get(name) else {
            return Ok(());
        };
        let named = || {
            let mut all = self.attachments.all().into_iter();
            all.any(|attachment| volume_name(&attachment) == Some(name))
        };
        if is_leaving(&*volume) && has_finalizer(&*volume, &self.finalizer) && !named() {
            return self.writes.release_volume(&volume).await;
        }
        Ok(())
    }
}

// === Looking things up ===

impl Handler {
    pub(super) fn volume_of(
        &self,
        attachment: &VolumeAttachment,
    ) -> Result<Arc<PersistentVolume>, Failure> {
        let name = volume_name(attachment).unwrap_or_default();
        let volume = self.volumes.get(name);
        volume.ok_or_else(|| missing("PersistentVolume", name))
    }

    pub(super) fn source_of<'a>(
        &self,
        volume: &'a PersistentVolume,
    ) -> Result<&'a CSIPersistentVolumeSource, Failure> {
        source(volume)
            .filter(|source| source.driver == self.driver)
            .ok_or_else(|| {
                missing(
                    "volume of this driver in PersistentVolume",
                    &volume.name_any(),
                )
            })
    }

    /// For an attach only what the node plugin registered counts.
    fn node_id(&self, attachment: &VolumeAttachment) -> Result<String, Failure> {
        let name = &attachment.spec.node_name;
        let node = self.nodes.get(name);
        let node = node.ok_or_else(|| missing("CSINode", name))?;
        let id = node_id(&node, &self.driver);
        id.map(ToOwned::to_owned)
            .ok_or_else(|| missing("driver in CSINode", name))
    }

    /// For a detach the node may be gone; then what was noted before the attach is taken.
    pub(super) fn known_node_id(&self, attachment: &VolumeAttachment) -> Result<String, Failure> {
        self.node_id(attachment).or_else(|error| {
            let noted = attachment.annotations().get(NODE_ID);
            noted.cloned().ok_or(error)
        })
    }
}

fn missing(what: &'static str, name: &str) -> Failure {
    Failure::Missing {
        what,
        name: name.to_owned(),
    }
}

fn call_of(attachment: &VolumeAttachment, start: Instant, error: Option<&CallError>) -> Call {
    Call {
        attachment: attachment.name_any(),
        took: start.elapsed(),
        error: error.map(ToString::to_string),
    }
}

/// The error that was to be noted is what counts, not that it could not be.
fn log_unless_ok(noted: Result<(), Failure>) {
    if let Err(error) = noted {
        tracing::debug!(%error, "an error could not be noted on its attachment");
    }
}
