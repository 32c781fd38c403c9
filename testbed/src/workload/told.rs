//! What users are told when something fails.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::ResourceExt as _;
use kube::api::ListParams;

use super::{Workload, within};
use crate::trouble::Trouble;

impl Workload {
    /// What is read of attaches and detaches that failed: errors on the driver's VolumeAttachments,
    /// and warnings on pods whose names begin with `prefix`.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn failures(&self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let params = ListParams::default();
        let (attachments, events) = (self.all::<VolumeAttachment>(), self.here::<Event>());
        let lists = async { tokio::try_join!(attachments.list(&params), events.list(&params)) };
        let what = || "list VolumeAttachments and events".to_owned();
        let (attachments, events) = within(what, lists).await?;
        let ours = attachments
            .iter()
            .filter(|attachment| attachment.spec.attacher == self.driver);
        let errors = ours.filter_map(error_on);
        Ok(errors
            .chain(events.iter().filter_map(|event| warning(event, prefix)))
            .collect())
    }
}

fn error_on(attachment: &VolumeAttachment) -> Option<String> {
    let status = attachment.status.clone()?;
    let error = status.attach_error.or(status.detach_error)?;
    let message = error.message.unwrap_or_default();
    Some(format!("{}: {message}", attachment.name_any()))
}

fn warning(event: &Event, prefix: &str) -> Option<String> {
    let (reason, of) = (
        event.reason.as_deref()?,
        event.involved_object.name.as_deref()?,
    );
    let message = event.message.as_deref().unwrap_or_default();
    let is_failure = reason == "FailedAttachVolume" || reason == "FailedDetachVolume";
    (is_failure && of.starts_with(prefix)).then(|| format!("{of}: {reason}: {message}"))
}
