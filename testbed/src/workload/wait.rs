//! Waiting for what comes of what users asked for.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::{Api, Resource};
use rds_csi::workload::attachment_name;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{interval, timeout};

use super::{Volume, Workload, within};
use crate::trouble::{Attempt, Trouble};
use crate::watch::until;

/// Between two runs of kubectl, each of which takes a tenth of a second.
const KUBECTL_EVERY: Duration = Duration::from_millis(500);

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
            let mut ticks = interval(KUBECTL_EVERY);
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
