//! CSI calls as a sidecar makes them, each with a deadline and its duration.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use rds_csi::proto::csi;
use rds_csi::proto::csi::controller_client::ControllerClient;
use rds_csi::proto::csi::volume_capability::access_mode::Mode;
use rds_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// What external-attacher gives a call. A call that needs more counts as broken, not as slow.
const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// 10,000 volumes take about 3 MiB.
const MAX_ANSWER: usize = 32 << 20;

/// Small beside the simulated pool, whatever the number of volumes.
const VOLUME_BYTES: i64 = 1 << 20;

/// The controller, over one connection that all callers share, as those of a sidecar do.
#[derive(Debug, Clone)]
pub(crate) struct Client(ControllerClient<Channel>);

/// A volume and the one node that it is ever attached to: so that what is measured is never the time
/// that one node has to be out before another one is let in.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) context: HashMap<String, String>,
    pub(crate) node: String,
}

impl Client {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(ControllerClient::new(channel).max_decoding_message_size(MAX_ANSWER))
    }

    pub(crate) async fn create(&mut self, number: usize) -> anyhow::Result<(Volume, Duration)> {
        let request = csi::CreateVolumeRequest {
            name: format!("pvc-bench-{number}"),
            capacity_range: Some(csi::CapacityRange {
                required_bytes: VOLUME_BYTES,
                limit_bytes: 0,
            }),
            volume_capabilities: vec![capability()],
            ..Default::default()
        };
        let (answer, took) = timed("CreateVolume", self.0.create_volume(request)).await?;
        let volume = answer.volume.context("CreateVolume answered no volume")?;
        let volume = Volume {
            id: volume.volume_id,
            context: volume.volume_context,
            node: format!("worker-{}", number % NODES),
        };
        Ok((volume, took))
    }

    pub(crate) async fn publish(&mut self, volume: &Volume) -> anyhow::Result<Duration> {
        let request = csi::ControllerPublishVolumeRequest {
            volume_id: volume.id.clone(),
            node_id: volume.node.clone(),
            volume_capability: Some(capability()),
            volume_context: volume.context.clone(),
            ..Default::default()
        };
        let call = self.0.controller_publish_volume(request);
        Ok(timed("ControllerPublishVolume", call).await?.1)
    }

    pub(crate) async fn unpublish(&mut self, volume: &Volume) -> anyhow::Result<Duration> {
        let request = csi::ControllerUnpublishVolumeRequest {
            volume_id: volume.id.clone(),
            node_id: volume.node.clone(),
            ..Default::default()
        };
        let call = self.0.controller_unpublish_volume(request);
        Ok(timed("ControllerUnpublishVolume", call).await?.1)
    }

    pub(crate) async fn delete(&mut self, volume: &Volume) -> anyhow::Result<Duration> {
        let request = csi::DeleteVolumeRequest {
            volume_id: volume.id.clone(),
            ..Default::default()
        };
        Ok(timed("DeleteVolume", self.0.delete_volume(request))
            .await?
            .1)
    }

    /// All volumes in one answer: how many there are.
    pub(crate) async fn list(&mut self) -> anyhow::Result<(usize, Duration)> {
        let call = self.0.list_volumes(csi::ListVolumesRequest::default());
        let (answer, took) = timed("ListVolumes", call).await?;
        Ok((answer.entries.len(), took))
    }
}

/// As many nodes as a cluster of the size that one RDS serves.
const NODES: usize = 100;

fn capability() -> csi::VolumeCapability {
    csi::VolumeCapability {
        access_mode: Some(AccessMode {
            mode: Mode::SingleNodeWriter.into(),
        }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}

async fn timed<T>(
    what: &'static str,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> anyhow::Result<(T, Duration)> {
    let started = Instant::now();
    let answered = tokio::time::timeout(CALL_DEADLINE, call).await;
    let answer = answered
        .with_context(|| format!("{what} was not answered within {CALL_DEADLINE:?}"))?
        .with_context(|| format!("{what} failed"))?;
    Ok((answer.into_inner(), started.elapsed()))
}
