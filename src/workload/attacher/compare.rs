//! ReconcileVA: what ListVolumes says against what the attachments say.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use tokio::time::{Instant, timeout};

use super::calls::{CallError, answer, within};
use super::handler::{Failure, Handler};
use super::journal::What;
use crate::proto::csi::ListVolumesRequest;
use crate::workload::objects::is_attached;

/// Node ids by volume handle.
type Published = BTreeMap<String, BTreeSet<String>>;

impl Handler {
    /// Returns the attachments whose status is not what the driver says. They are to be looked at
    /// again, and the driver called for them whatever their status.
    pub(super) async fn compare(&self) -> Vec<String> {
        let published = match self.published().await {
            Ok(published) => published,
            Err(error) => {
                self.shared.note(What::Compared {
                    repaired: Err(error.to_string()),
                });
                return Vec::new();
            }
        };
        let all = self.attachments.all();
        let ours = all.iter().filter(|one| one.spec.attacher == self.driver);
        let wrong: Vec<String> = ours
            .filter(|attachment| {
                let found = self.is_published(attachment, &published);
                found.is_ok_and(|found| found != is_attached(attachment))
            })
            .map(|attachment| attachment.name_any())
            .collect();
        for name in &wrong {
            self.force(name);
        }
        self.shared.note(What::Compared {
            repaired: Ok(wrong.len()),
        });
        wrong
    }

    fn is_published(
        &self,
        attachment: &k8s_openapi::api::storage::v1::VolumeAttachment,
        published: &Published,
    ) -> Result<bool, Failure> {
        let volume = self.volume_of(attachment)?;
        let handle = &self.source_of(&volume)?.volume_handle;
        let node = self.known_node_id(attachment)?;
        let nodes = published.get(handle);
        Ok(nodes.is_some_and(|nodes| nodes.contains(&node)))
    }

    /// All pages, under one deadline.
    async fn published(&self) -> Result<Published, CallError> {
        let limit = self.shared.options.pace.call;
        let pages = timeout(limit, self.pages());
        pages.await.unwrap_or(Err(CallError::Late(limit)))
    }

    async fn pages(&self) -> Result<Published, CallError> {
        let (start, limit) = (Instant::now(), self.shared.options.pace.call);
        let mut controller = self.link.controller.clone();
        let mut published = Published::new();
        let mut token = String::new();
        loop {
            let request = ListVolumesRequest {
                max_entries: 0,
                starting_token: token,
            };
            let left = limit.saturating_sub(start.elapsed());
            let page = answer(left, controller.list_volumes(within(left, request))).await?;
            for entry in page.entries {
                let volume = entry.volume.unwrap_or_default();
                let status = entry.status.unwrap_or_default();
                let nodes = published.entry(volume.volume_id).or_default();
                nodes.extend(status.published_node_ids);
            }
            token = page.next_token;
            if token.is_empty() {
                return Ok(published);
            }
        }
    }
}
