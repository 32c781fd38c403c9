//! One replica as its sidecars see it: Probe until it is ready, then calls, each with a deadline.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rds_csi::proto::csi;
use rds_csi::proto::csi::controller_client::ControllerClient;
use rds_csi::proto::csi::identity_client::IdentityClient;
use rds_csi::proto::csi::volume_capability::access_mode::Mode;
use rds_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use rds_csi::workload::placement::Volume;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::transport::{Channel, Endpoint};

/// How often a replica is asked: the resolution of all figures. Not more often, as the answers of the
/// replicas of five clusters would keep the processors busy that the take-over needs.
const PROBE_EVERY: Duration = Duration::from_millis(10);
/// How often Publish is tried once Probe has said ready.
const TRY_EVERY: Duration = Duration::from_millis(5);
/// Probe is answered from memory.
const PROBE_LIMIT: Duration = Duration::from_millis(500);
/// What external-attacher gives a call.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// A replica's socket.
#[derive(Debug, Clone)]
pub(crate) struct Driver(Channel);

// === impl Driver ===

impl Driver {
    /// Connects with the first call, and again whenever the connection is lost.
    pub(crate) fn new(socket: &Path) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let endpoint = endpoint.with_context(|| format!("use the socket {}", socket.display()))?;
        Ok(Self(endpoint.connect_lazy()))
    }

    /// Whether it answers, and if so whether it is ready.
    pub(crate) async fn probe(&self) -> Option<bool> {
        let mut identity = IdentityClient::new(self.0.clone());
        let probe = identity.probe(csi::ProbeRequest {});
        let answer = timeout(PROBE_LIMIT, probe).await.ok()?.ok()?;
        // The CSI specification: an absent value means ready.
        Some(answer.into_inner().ready.unwrap_or(true))
    }

    /// Waits until it says that it is ready. Never gives up.
    pub(crate) async fn ready(&self) {
        let mut ticks = interval(PROBE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.probe().await == Some(true) {
                return;
            }
        }
    }

    /// Publishes as soon as it does not refuse. Never gives up.
    pub(crate) async fn insist(&self, volume: &Volume, node: &str) -> BTreeMap<String, String> {
        let mut ticks = interval(TRY_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Ok(context) = self.publish(volume, node).await {
                return context;
            }
        }
    }

    pub(crate) async fn publish(
        &self,
        volume: &Volume,
        node: &str,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let request = csi::ControllerPublishVolumeRequest {
            volume_id: volume.handle.clone(),
            node_id: node.to_owned(),
            volume_capability: Some(csi::VolumeCapability {
                access_mode: Some(AccessMode {
                    mode: Mode::SingleNodeWriter.into(),
                }),
                access_type: Some(AccessType::Mount(MountVolume::default())),
            }),
            volume_context: volume.context.clone().into_iter().collect(),
            ..Default::default()
        };
        let mut controller = ControllerClient::new(self.0.clone());
        let answered = timeout(CALL_LIMIT, controller.controller_publish_volume(request)).await;
        let answer = answered.context("ControllerPublishVolume was not answered")??;
        Ok(answer.into_inner().publish_context.into_iter().collect())
    }

    pub(crate) async fn unpublish(&self, volume: &Volume, node: &str) -> anyhow::Result<()> {
        let request = csi::ControllerUnpublishVolumeRequest {
            volume_id: volume.handle.clone(),
            node_id: node.to_owned(),
            ..Default::default()
        };
        let mut controller = ControllerClient::new(self.0.clone());
        let answered = timeout(CALL_LIMIT, controller.controller_unpublish_volume(request)).await;
        answered
            .context("ControllerUnpublishVolume was not answered")?
            .context("ControllerUnpublishVolume failed")?;
        Ok(())
    }
}
