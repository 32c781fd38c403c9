//! One controller, called as a sidecar would.

use std::sync::Arc;

use rds_csi::domain::access::{Access, AccessType, FsType, Mode};
use rds_csi::domain::capacity::SizeRange;
use rds_csi::domain::context::Portal;
use rds_csi::domain::error::{Effect, Error, Kind};
use rds_csi::domain::id::VolumeId;
use rds_csi::domain::parameters::Parameters;
use rds_csi::ports::Backend as _;
use rds_csi::rds::backend::RdsBackend;
use rds_csi::service::{CreateVolume, PublishVolume, Volumes};
use tokio::task::JoinHandle;

use super::{Context, GIB, HANG, until, within};

/// One controller. Dropping it ends it, as a crash would.
pub(crate) struct Replica {
    pub(crate) volumes: Volumes,
    pub(crate) backend: Arc<RdsBackend>,
    pub(crate) reading: JoinHandle<()>,
}

// === impl Replica ===

impl Replica {
    /// Waits until calls are served.
    pub(crate) async fn ready(&self) {
        until("calls are served", || self.volumes.ready()).await;
    }

    /// Waits until a restart of the device has been noticed and everything is read again.
    pub(crate) async fn reread(&self, before: u64) {
        let noticed = tokio::time::timeout(HANG, self.backend.restarted(before));
        noticed.await.expect("the restart is noticed");
        self.ready().await;
    }

    /// Makes a volume of one GiB.
    pub(crate) async fn create(&self, name: &str) -> Result<VolumeId, Error> {
        self.create_of(name, GIB).await
    }

    pub(crate) async fn create_of(&self, name: &str, size: u64) -> Result<VolumeId, Error> {
        let request = CreateVolume {
            name: name.to_owned(),
            size: at_least(size),
            parameters: Parameters::from_request([]).unwrap(),
        };
        within(self.volumes.create(request))
            .await
            .map(|made| made.id)
    }

    /// Publishes with read-write access to a filesystem.
    pub(crate) async fn publish(&self, id: &VolumeId, node: &str) -> Result<Context, Error> {
        let request = PublishVolume {
            id: Some(id.clone()),
            node: node.parse().unwrap(),
            access: mount(Mode::SingleNodeWriter),
            portal: Portal::default(),
        };
        let told = within(self.volumes.publish(request)).await?;
        Ok(told.to_map().into_iter().collect())
    }

    pub(crate) async fn unpublish(&self, id: &VolumeId, node: &str) -> Result<(), Error> {
        let node = Some(node.parse().unwrap());
        within(self.volumes.unpublish(Some(id.clone()), node)).await
    }

    /// From whichever node holds it.
    pub(crate) async fn unpublish_all(&self, id: &VolumeId) -> Result<(), Error> {
        within(self.volumes.unpublish(Some(id.clone()), None)).await
    }

    pub(crate) async fn delete(&self, id: &VolumeId) -> Result<(), Error> {
        within(self.volumes.delete(Some(id.clone()))).await
    }

    pub(crate) async fn expand(&self, id: &VolumeId, size: u64) -> Result<u64, Error> {
        within(self.volumes.expand(Some(id.clone()), at_least(size))).await
    }

    /// Nodes that the RDS says may be using the volume.
    pub(crate) async fn holders(&self, id: &VolumeId) -> Vec<String> {
        let status = within(self.volumes.status(Some(id.clone()))).await;
        status.unwrap().published
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

// === calling again ===

/// Calls again as a sidecar does: for as long as the answer is that it is not final.
pub(crate) async fn insist<T, F>(replica: &Replica, call: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut error = None;
    for _ in 0..50 {
        replica.ready().await;
        match call().await {
            Err(again) if is_transient(&again) => error = Some(again),
            answer => return answer,
        }
    }
    panic!("still not answered: {error:?}")
}

/// Whether sidecars take the answer for "may still be running".
pub(crate) fn is_transient(error: &Error) -> bool {
    let waits = [Kind::Unavailable, Kind::Timeout, Kind::Busy];
    error.effect() == Effect::Unknown || waits.contains(&error.kind())
}

pub(crate) fn at_least(size: u64) -> SizeRange {
    SizeRange::from_request(size.try_into().unwrap(), 0).unwrap()
}

pub(crate) fn mount(mode: Mode) -> Access {
    let fs_type = FsType::Ext4;
    Access::new(mode, AccessType::Mount { fs_type }).unwrap()
}
