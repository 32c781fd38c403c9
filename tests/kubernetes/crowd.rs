//! Many pods at once, each with a volume of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::ResourceExt as _;
use kube::runtime::watcher::Config;
use testbed::bed::Bed;
use testbed::trouble::Trouble;
use testbed::watch::until_all;
use testbed::workload::{LONG, PodWanted};

/// How often the machine of each node has to write before a crowd counts as settled: ten times for
/// each of the 17 volumes that it has of 50.
const WRITES: u64 = 170;

/// Pods `PREFIX-0`, `PREFIX-1` and so on, each with a claim of its name.
pub(crate) struct Crowd<'a> {
    bed: &'a Bed,
    names: Vec<String>,
    /// The PersistentVolumes behind the claims.
    volumes: BTreeSet<String>,
}

// === impl Crowd ===

impl<'a> Crowd<'a> {
    /// Makes the claims, and returns when each has its volume.
    pub(crate) async fn of(bed: &'a Bed, prefix: &str, size: usize) -> Result<Self, Trouble> {
        let names: Vec<String> = (0..size).map(|one| format!("{prefix}-{one}")).collect();
        let user = bed.workload();
        try_join_all(names.iter().map(|name| user.claim(name))).await?;
        let is_bound = |claim: &&PersistentVolumeClaim| {
            let status = claim.status.as_ref();
            names.contains(&claim.name_any())
                && status.is_some_and(|status| status.phase.as_deref() == Some("Bound"))
        };
        let all_bound =
            |claims: &[PersistentVolumeClaim]| claims.iter().filter(is_bound).count() == size;
        let claims = user.here();
        let claims = until_all(claims, Config::default(), "get bound", LONG, all_bound).await?;
        let claims = claims.into_iter().filter(|claim| is_bound(&claim));
        let volumes = claims.filter_map(|claim| claim.spec?.volume_name).collect();
        Ok(Self {
            bed,
            names,
            volumes,
        })
    }

    /// How many they are.
    pub(crate) fn size(&self) -> usize {
        self.names.len()
    }

    /// Makes the pods. They go to whatever node the scheduler likes.
    pub(crate) async fn come(&self) -> Result<(), Trouble> {
        let pods = self.names.iter().map(|name| async move {
            let claims = [name.as_str()];
            let pod = PodWanted {
                name,
                claims: &claims,
                ..PodWanted::default()
            };
            self.bed.workload().pod(&pod).await
        });
        try_join_all(pods).await.map(drop)
    }

    /// Deletes the pods, and returns when they and their VolumeAttachments are gone.
    pub(crate) async fn go(&self) -> Result<(), Trouble> {
        let user = self.bed.workload();
        try_join_all(self.names.iter().map(|name| user.delete::<Pod>(name))).await?;
        let is_empty = |attachments: &[VolumeAttachment]| self.ours(attachments).next().is_none();
        let attachments = user.all::<VolumeAttachment>();
        until_all(attachments, Config::default(), "detach", LONG, is_empty)
            .await
            .map(drop)
    }

    /// Waits until at least so many volumes are attached; how many there are then.
    pub(crate) async fn attached(&self, least: usize, limit: Duration) -> Result<usize, Trouble> {
        let count =
            |all: &[VolumeAttachment]| self.ours(all).filter(|one| is_attached(one)).count();
        let enough = |all: &[VolumeAttachment]| count(all) >= least;
        let attachments = self.bed.workload().all::<VolumeAttachment>();
        let seen = until_all(attachments, Config::default(), "attach", limit, enough).await?;
        Ok(count(&seen))
    }

    /// Waits until every pod runs, on a volume that is attached once and that its machine writes to.
    pub(crate) async fn settled(&self, limit: Duration) -> Result<(), Trouble> {
        let runs = |pod: &&Pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            self.names.contains(&pod.name_any()) && phase == Some("Running")
        };
        let size = self.size();
        let all_run = |pods: &[Pod]| pods.iter().filter(runs).count() == size;
        let pods = self.bed.workload().here();
        let pods = until_all(pods, Config::default(), "run", limit, all_run).await?;
        let attached = self.attached(size, limit).await?;
        assert_eq!(attached, size, "each is attached to one node");
        let sessions = self.bed.sim().world().sessions();
        let slots: BTreeSet<_> = sessions.iter().map(|session| &session.slot).collect();
        assert_eq!(sessions.len(), slots.len(), "each is in use once");
        assert!(slots.len() >= size, "all of them are in use: {slots:?}");
        let nodes = pods
            .iter()
            .filter_map(|pod| pod.spec.as_ref()?.node_name.as_ref());
        for node in nodes.collect::<BTreeSet<_>>() {
            let machine = self.bed.node(node)?.machine();
            self.bed.writes(&machine, WRITES, limit).await?;
        }
        Ok(())
    }

    fn ours<'b>(
        &'b self,
        attachments: &'b [VolumeAttachment],
    ) -> impl Iterator<Item = &'b VolumeAttachment> {
        attachments.iter().filter(|one| {
            let volume = one.spec.source.persistent_volume_name.as_ref();
            volume.is_some_and(|volume| self.volumes.contains(volume))
        })
    }
}

fn is_attached(attachment: &VolumeAttachment) -> bool {
    let status = attachment.status.as_ref();
    status.is_some_and(|status| status.attached)
}
