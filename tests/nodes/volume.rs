//! A volume of a test: claimed, attached where its pod is, and written to by that node's machine.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use std::time::Duration;
use testbed::machines::writes;
use testbed::trouble::{Attempt as _, Trouble};
use testbed::workload::{LONG, PodWanted, Volume};

use crate::suite::Ground;

/// Often enough that a write of one node meets a grant of another if it can.
const WRITE_EVERY: Duration = Duration::from_millis(10);

/// A claim with its volume, for a pod of the same name.
pub(crate) struct Claimed<'a> {
    ground: &'a Ground,
    name: &'a str,
    pub(crate) volume: Volume,
}

impl<'a> Claimed<'a> {
    /// Waits until the claim has its volume.
    pub(crate) async fn new(ground: &'a Ground, name: &'a str) -> Result<Self, Trouble> {
        let user = ground.installed.workload();
        user.claim(name).await?;
        let volume = user.bound(name, LONG).await?;
        Ok(Self {
            ground,
            name,
            volume,
        })
    }

    /// Makes its pod on a node.
    pub(crate) async fn pod(&self, node: &str) -> Result<(), Trouble> {
        let wanted = PodWanted {
            name: self.name,
            claims: &[self.name],
            node: Some(node),
        };
        self.ground.installed.workload().pod(&wanted).await
    }

    /// Waits until it is attached to a node.
    pub(crate) async fn attached(&self, node: &str) -> Result<(), Trouble> {
        let user = self.ground.installed.workload();
        user.attached(&self.volume, node, LONG).await.map(drop)
    }

    /// Has a node's machine connect as the attachment says, and write on from then on.
    pub(crate) async fn stage(&self, node: &str) -> Result<(), Trouble> {
        let installed = &self.ground.installed;
        let user = installed.workload();
        let attachment = user.attached(&self.volume, node, LONG).await?;
        let told = attachment
            .status
            .and_then(|status| status.attachment_metadata);
        let what = || format!("stage {} on {node}", self.name);
        let told = told.ok_or("it is told nothing").attempt(what)?;
        let machine = installed.sim().machine(node);
        machine.stage(&told).attempt(what)?;
        let sim = installed.sim();
        sim.keep_writing(node, &self.volume.handle, Some(WRITE_EVERY));
        writes(&machine, 5, LONG).await
    }

    /// What a kubelet does when the pod goes, and then the pod; returns when it is detached.
    pub(crate) async fn leave(&self, node: &str) -> Result<(), Trouble> {
        let (sim, user) = (
            self.ground.installed.sim(),
            self.ground.installed.workload(),
        );
        sim.keep_writing(node, &self.volume.handle, None);
        sim.machine(node).disconnect(&self.volume.handle);
        user.delete::<Pod>(self.name).await?;
        user.gone(user.here::<Pod>(), self.name, LONG).await?;
        user.detached(&self.volume, node, LONG).await
    }

    /// Gives the volume back; returns when Kubernetes and the RDS have forgotten it.
    pub(crate) async fn delete(self) -> Result<(), Trouble> {
        let user = self.ground.installed.workload();
        user.delete::<PersistentVolumeClaim>(self.name).await?;
        let volumes = user.all::<PersistentVolume>();
        user.gone(volumes, &self.volume.name, LONG).await?;
        let world = self.ground.installed.sim().world();
        assert!(world.disk(&self.volume.handle).is_none());
        Ok(())
    }
}
