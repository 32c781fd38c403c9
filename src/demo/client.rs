//! The CSI calls, made as sidecars make them: generated client, unix socket, deadline.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::proto::csi;
use crate::proto::csi::controller_client::ControllerClient;
use crate::proto::csi::identity_client::IdentityClient;
use crate::proto::csi::volume_capability::access_mode::Mode;
use crate::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};

/// external-attacher's default `--timeout`, the longest of the sidecars'.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// A client of one controller.
#[derive(Debug, Clone)]
pub(super) struct Csi {
    identity: IdentityClient<Channel>,
    controller: ControllerClient<Channel>,
}

/// What CreateVolume told: the part of a PersistentVolume that later calls need.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) id: String,
    pub(super) bytes: i64,
    context: HashMap<String, String>,
}

/// What ControllerPublishVolume told.
pub(super) type Told = HashMap<String, String>;

// === impl Csi ===

impl Csi {
    /// Connects with the first call, and again whenever the connection is lost.
    pub(super) fn new(socket: &Path) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("unix://{}", socket.display()))
            .with_context(|| format!("use the socket {}", socket.display()))?
            .timeout(CALL_LIMIT)
            .connect_lazy();
        Ok(Self {
            identity: IdentityClient::new(channel.clone()),
            controller: ControllerClient::new(channel),
        })
    }

    /// Whether the controller serves calls now.
    pub(super) async fn probe(&mut self) -> Result<bool, Status> {
        let answer = self.identity.probe(csi::ProbeRequest {}).await?;
        // The CSI specification: an absent value means ready.
        Ok(answer.into_inner().ready.unwrap_or(true))
    }

    pub(super) async fn create(&mut self, name: &str, bytes: i64) -> Result<Volume, Status> {
        let request = csi::CreateVolumeRequest {
            name: name.to_owned(),
            capacity_range: Some(at_least(bytes)),
            volume_capabilities: vec![one_writer()],
            ..Default::default()
        };
        let answer = self.controller.create_volume(request).await?;
        let volume = answer.into_inner().volume.unwrap_or_default();
        Ok(Volume {
            id: volume.volume_id,
            bytes: volume.capacity_bytes,
            context: volume.volume_context,
        })
    }

    pub(super) async fn delete(&mut self, volume: &Volume) -> Result<(), Status> {
        let request = csi::DeleteVolumeRequest {
            volume_id: volume.id.clone(),
            ..Default::default()
        };
        self.controller.delete_volume(request).await.map(drop)
    }

    pub(super) async fn publish(&mut self, volume: &Volume, node: &str) -> Result<Told, Status> {
        let request = csi::ControllerPublishVolumeRequest {
            volume_id: volume.id.clone(),
            node_id: node.to_owned(),
            volume_capability: Some(one_writer()),
            volume_context: volume.context.clone(),
            ..Default::default()
        };
        let answer = self.controller.controller_publish_volume(request).await?;
        Ok(answer.into_inner().publish_context)
    }

    pub(super) async fn unpublish(&mut self, volume: &Volume, node: &str) -> Result<(), Status> {
        let request = csi::ControllerUnpublishVolumeRequest {
            volume_id: volume.id.clone(),
            node_id: node.to_owned(),
            ..Default::default()
        };
        let answer = self.controller.controller_unpublish_volume(request).await;
        answer.map(drop)
    }

    /// The size afterwards.
    pub(super) async fn expand(&mut self, volume: &Volume, bytes: i64) -> Result<i64, Status> {
        let request = csi::ControllerExpandVolumeRequest {
            volume_id: volume.id.clone(),
            capacity_range: Some(at_least(bytes)),
            volume_capability: Some(one_writer()),
            ..Default::default()
        };
        let answer = self.controller.controller_expand_volume(request).await?;
        Ok(answer.into_inner().capacity_bytes)
    }
}

fn at_least(bytes: i64) -> csi::CapacityRange {
    csi::CapacityRange {
        required_bytes: bytes,
        limit_bytes: 0,
    }
}

/// ReadWriteOnce with a file system, as most claims ask for.
fn one_writer() -> csi::VolumeCapability {
    csi::VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume {
            fs_type: "ext4".to_owned(),
            ..Default::default()
        })),
        access_mode: Some(AccessMode {
            mode: Mode::SingleNodeWriter.into(),
        }),
    }
}
