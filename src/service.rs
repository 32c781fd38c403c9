//! Use-cases: what each CSI call does, over ports, in domain types.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::access::Access;
use crate::domain::capacity::SizeRange;
use crate::domain::context::{Portal, PublishContext, VolumeContext};
use crate::domain::error::Error;
use crate::domain::file::Directory;
use crate::domain::id::{ClusterId, NodeId, VolumeId};
use crate::domain::parameters::Parameters;
use crate::ports::{Backend, Clock};

/// What the services are told by configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose volumes these are.
    pub cluster: ClusterId,
    /// Backing files lie here or below.
    pub base: Directory,
    /// `rdsAddress` of contexts.
    pub rds_address: String,
    /// `nvmeAddress` where a StorageClass names none.
    pub nvme_address: IpAddr,
    /// How long a revoke must have stood before another node is let in.
    pub revoke_settle: Duration,
    /// If given, any other node does not exist.
    pub allowed_nodes: Option<Vec<NodeId>>,
}

/// CreateVolume, read.
#[derive(Debug)]
pub struct CreateVolume {
    /// The CO's name of the volume.
    pub name: String,
    /// How large.
    pub size: SizeRange,
    /// StorageClass parameters.
    pub parameters: Parameters,
}

/// A volume that exists.
#[derive(Debug)]
pub struct Created {
    /// Its id.
    pub id: VolumeId,
    /// Exact bytes.
    pub size: u64,
    /// What later calls need.
    pub context: VolumeContext,
}

/// ControllerPublishVolume, read.
#[derive(Debug)]
pub struct PublishVolume {
    /// What (`None`: an id that is never ours, so no such volume).
    pub id: Option<VolumeId>,
    /// Where.
    pub node: NodeId,
    /// How.
    pub access: Access,
    /// Where nodes connect, from volume_context.
    pub portal: Portal,
}

/// One volume of ListVolumes and ControllerGetVolume.
#[derive(Debug)]
pub struct Status {
    /// Its id.
    pub id: VolumeId,
    /// Exact bytes.
    pub size: u64,
    /// Nodes that may be using it.
    pub published: Vec<String>,
    /// What is wrong with it, if anything.
    pub abnormal: Option<String>,
}

/// One page of ListVolumes.
#[derive(Debug)]
pub struct Page {
    /// The volumes.
    pub entries: Vec<Status>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// GetCapacity's answer.
#[derive(Debug)]
pub struct Room {
    /// Free bytes.
    pub available: u64,
    /// Largest volume that can be made now.
    pub largest: u64,
    /// Smallest volume.
    pub smallest: u64,
}

/// The use-cases of the controller.
#[derive(Debug, Clone)]
pub struct Volumes(Arc<()>);

impl Volumes {
    /// Builds the services; they answer UNAVAILABLE until `run` has read the RDS once.
    pub fn new(_backend: Arc<dyn Backend>, _clock: Arc<dyn Clock>, _settings: Settings) -> Self { Self(Arc::new(())) }
    /// Reads the RDS at start and after every restart of it; never ends.
    pub async fn run(&self) -> Result<(), Error> { Err(Error::bug("stub")) }
    /// Whether calls are served now (Probe).
    pub fn ready(&self) -> bool { false }
    /// CreateVolume.
    pub async fn create(&self, _r: CreateVolume) -> Result<Created, Error> { Err(Error::bug("stub")) }
    /// DeleteVolume.
    pub async fn delete(&self, _id: Option<VolumeId>) -> Result<(), Error> { Err(Error::bug("stub")) }
    /// ControllerExpandVolume; the new size.
    pub async fn expand(&self, _id: Option<VolumeId>, _size: SizeRange) -> Result<u64, Error> { Err(Error::bug("stub")) }
    /// ControllerPublishVolume.
    pub async fn publish(&self, _r: PublishVolume) -> Result<PublishContext, Error> { Err(Error::bug("stub")) }
    /// ControllerUnpublishVolume; `node` `None` = from all.
    pub async fn unpublish(&self, _id: Option<VolumeId>, _node: Option<NodeId>) -> Result<(), Error> { Err(Error::bug("stub")) }
    /// ControllerGetVolume and the existence check of ValidateVolumeCapabilities.
    pub async fn status(&self, _id: Option<VolumeId>) -> Result<Status, Error> { Err(Error::bug("stub")) }
    /// ListVolumes.
    pub async fn list(&self, _token: Option<&str>, _max: usize) -> Result<Page, Error> { Err(Error::bug("stub")) }
    /// GetCapacity.
    pub async fn room(&self, _parameters: &Parameters) -> Result<Room, Error> { Err(Error::bug("stub")) }
}
