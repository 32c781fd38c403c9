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
    let is_failure = reason.starts_with("Failed") && reason.ends_with("Volume");
    (is_failure && of.starts_with(prefix)).then(|| format!("{of}: {reason}: {message}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_failures_of_the_pods_in_question_are_told() {
        let rows = [
            ("FailedAttachVolume", "user-1", true),
            ("FailedAttachVolume", "other", false),
            ("SuccessfulAttachVolume", "user-1", false),
            ("FailedScheduling", "user-1", false),
        ];
        for (reason, of, expected) in rows {
            let event = json!({
                "metadata": {}, "reason": reason, "involvedObject": {"name": of},
            });
            let event: Event = serde_json::from_value(event).unwrap();
            assert_eq!(
                warning(&event, "user-").is_some(),
                expected,
                "{reason} {of}"
            );
        }
    }

    #[test]
    fn an_error_on_an_attachment_is_told_whichever_it_is() {
        let rows = [
            (json!({"attached": true}), None),
            (
                json!({"attached": false, "attachError": {"message": "no"}}),
                Some("va: no"),
            ),
            (
                json!({"attached": true, "detachError": {"message": "no"}}),
                Some("va: no"),
            ),
        ];
        for (status, expected) in rows {
            let attachment = json!({
                "metadata": {"name": "va"}, "status": status,
                "spec": {"attacher": "a", "nodeName": "n", "source": {}},
            });
            let attachment: VolumeAttachment = serde_json::from_value(attachment).unwrap();
            assert_eq!(error_on(&attachment).as_deref(), expected);
        }
    }
}
