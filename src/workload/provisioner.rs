//! A stand-in for external-provisioner, one for all replicas: it creates at whichever is ready.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use super::placement::Volume;
use super::secrets;
use crate::proto::csi;
use crate::proto::csi::controller_client::ControllerClient;
use crate::proto::csi::identity_client::IdentityClient;
use crate::proto::csi::volume_capability::access_mode::Mode;
use crate::proto::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};

/// `--timeout`.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Between two rounds in which nobody was ready.
const PAUSE: Duration = Duration::from_millis(20);

/// It asks these replicas.
#[derive(Clone, Debug)]
pub struct Provisioner {
    sockets: Vec<PathBuf>,
}

/// A volume was not made or not removed in time.
#[derive(Debug, thiserror::Error)]
#[error("{what} did not succeed within {limit:?}; last answer: {last}")]
pub struct ProvisionError {
    what: String,
    limit: Duration,
    last: String,
}

// === impl Provisioner ===

impl Provisioner {
    /// Asks the replicas behind these sockets.
    pub fn new(sockets: Vec<PathBuf>) -> Self {
        Self { sockets }
    }

    /// The socket of a replica whose Probe says ready, if there is one.
    pub async fn ready(&self) -> Option<PathBuf> {
        for socket in &self.sockets {
            if channel(socket).await.is_ok() {
                return Some(socket.clone());
            }
        }
        None
    }

    /// Makes a volume, however often it has to ask. The PersistentVolume is to have its name.
    ///
    /// # Errors
    /// [`ProvisionError`] after `limit`.
    pub async fn create(
        &self,
        name: &str,
        bytes: i64,
        shared_block: bool,
        limit: Duration,
    ) -> Result<Volume, ProvisionError> {
        let request = csi::CreateVolumeRequest {
            name: name.to_owned(),
            capacity_range: Some(csi::CapacityRange {
                required_bytes: bytes,
                limit_bytes: 0,
            }),
            volume_capabilities: vec![capability(shared_block)],
            secrets: secrets::of_a_call(),
            ..Default::default()
        };
        let create = |mut driver: ControllerClient<Channel>| {
            let request = request.clone();
            async move { driver.create_volume(request).await }
        };
        let answer = self
            .insist(&format!("create volume {name}"), limit, create)
            .await?;
        let made = answer.into_inner().volume.unwrap_or_default();
        Ok(Volume {
            name: name.to_owned(),
            handle: made.volume_id,
            context: made.volume_context.into_iter().collect(),
            shared_block,
        })
    }

    /// Removes a volume, however often it has to ask.
    ///
    /// # Errors
    /// [`ProvisionError`] after `limit`.
    pub async fn delete(&self, volume: &Volume, limit: Duration) -> Result<(), ProvisionError> {
        let request = csi::DeleteVolumeRequest {
            volume_id: volume.handle.clone(),
            secrets: secrets::of_a_call(),
        };
        let delete = |mut driver: ControllerClient<Channel>| {
            let request = request.clone();
            async move { driver.delete_volume(request).await }
        };
        let what = format!("delete volume {}", volume.name);
        self.insist(&what, limit, delete).await.map(drop)
    }

    async fn insist<T, F>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Fn(ControllerClient<Channel>) -> F,
    ) -> Result<T, ProvisionError>
    where
        F: Future<Output = Result<T, tonic::Status>>,
    {
        let start = Instant::now();
        let mut last = "nobody is ready".to_owned();
        while start.elapsed() < limit {
            for socket in &self.sockets {
                let Ok(channel) = channel(socket).await else {
                    continue;
                };
                match timeout(CALL_LIMIT, call(ControllerClient::new(channel))).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) => last = status.to_string(),
                    Err(_) => last = format!("none within {CALL_LIMIT:?}"),
                }
            }
            sleep(PAUSE).await;
        }
        Err(ProvisionError {
            what: what.to_owned(),
            limit,
            last,
        })
    }
}

/// Why a replica is not asked.
struct NotReady;

/// A connection to a replica that is ready.
async fn channel(socket: &std::path::Path) -> Result<Channel, NotReady> {
    let probed = async {
        let address = format!("unix://{}", socket.display());
        let endpoint = Endpoint::from_shared(address).map_err(|_| NotReady)?;
        let channel = endpoint.connect().await.map_err(|_| NotReady)?;
        let mut identity = IdentityClient::new(channel.clone());
        let probe = identity.probe(csi::ProbeRequest {}).await;
        let ready = probe.map_err(|_| NotReady)?.into_inner().ready;
        // The CSI specification: an absent value means ready.
        ready.unwrap_or(true).then_some(channel).ok_or(NotReady)
    };
    // A replica that has been stopped answers nothing; the others must not wait for it.
    timeout(PROBE_LIMIT, probed).await.unwrap_or(Err(NotReady))
}

/// Probe is answered from memory.
const PROBE_LIMIT: Duration = Duration::from_millis(500);

fn capability(shared_block: bool) -> csi::VolumeCapability {
    let (access_type, mode) = if shared_block {
        (
            AccessType::Block(BlockVolume {}),
            Mode::MultiNodeMultiWriter,
        )
    } else {
        let mount = MountVolume {
            fs_type: "ext4".to_owned(),
            ..Default::default()
        };
        (AccessType::Mount(mount), Mode::SingleNodeWriter)
    };
    csi::VolumeCapability {
        access_type: Some(access_type),
        access_mode: Some(AccessMode { mode: mode.into() }),
    }
}
