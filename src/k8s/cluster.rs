//! Who should be using which volume, according to the Kubernetes API.
//!
//! Decisions rest on quorum reads; the mirror of what was watched only shortens the way to them.

mod failure;
mod join;
mod mirror;
mod read;
mod row;
mod table;
mod turns;
mod wire;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use kube::{Client, Config};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::domain::claim::{Attachment, Claim, Presence, PvcRef, Survey, Watched};
use crate::domain::error::Error;
use crate::domain::id::{NodeId, VolumeId};
use crate::k8s::client;
use crate::k8s::cluster::failure::Failure;
use crate::k8s::cluster::join::{Joined, Sheet, is_named_for, livelier};
use crate::k8s::cluster::mirror::Mirror;
use crate::k8s::cluster::read::{Reader, by_name};
use crate::k8s::cluster::row::{AttachmentRow, CsiNodeRow, NodeRow, REMADE, Source, VolumeRow};
use crate::k8s::cluster::turns::Turns;
use crate::k8s::events::PvcLookup;
use crate::ports::Cluster;

pub use self::mirror::Counts;

/// The Kubernetes API as one driver sees it. It needs `get`, `list` and `watch` on
/// volumeattachments, persistentvolumes, csinodes and nodes, and `patch` on volumeattachments.
pub struct KubeCluster {
    core: Arc<Core>,
    watches: Client,
    attachments: Turns<Joined>,
    plugins: Turns<Vec<CsiNodeRow>>,
}

/// What a reading needs that goes on in a task of its own.
struct Core {
    driver: Arc<str>,
    reader: Reader,
    mirror: Mirror,
}

// === impl KubeCluster ===

impl KubeCluster {
    /// The API that `config` reaches, for the driver of this name. It asks nothing yet.
    ///
    /// # Errors
    /// [`crate::k8s::Error::Client`] if `config` cannot be used.
    pub fn new(config: &Config, driver: &str) -> Result<Self, crate::k8s::Error> {
        let name: Arc<str> = driver.into();
        Ok(Self {
            core: Arc::new(Core {
                reader: Reader::new(config, driver)?,
                mirror: Mirror::new(&name),
                driver: name,
            }),
            watches: client::for_watches(config.clone())?,
            attachments: Turns::new("a list of VolumeAttachments"),
            plugins: Turns::new("a list of CSINodes"),
        })
    }

    /// Keeps the mirror up to date until `stop`: on followers too, so that a new leader knows where
    /// to look. Never fails; what cannot be watched is logged once for each reason.
    pub fn watch(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let core = Arc::clone(&self.core);
        let client = self.watches.clone();
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = core.mirror.follow(&client) => {}
            }
        }
    }

    /// How much has been watched.
    pub fn counts(&self) -> Counts {
        self.core.mirror.counts()
    }

    /// Counts the changes that were watched; wakes at each.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.core.mirror.changes()
    }

    /// The volume that was made for a PersistentVolumeClaim, as last watched.
    pub fn volume_of(&self, namespace: &str, name: &str) -> Option<VolumeId> {
        self.core.mirror.volume_of(namespace, name)
    }

    /// The machine behind a node id, as last watched: where to look, never what to do. `None` while
    /// nothing has been watched yet, or for an id that no node is known to have.
    pub fn watched_presence(&self, node: &NodeId) -> Option<Presence> {
        self.core.mirror.presence(node)
    }

    /// The attachments of this volume to the nodes of these names. What is found under a name of
    /// this form but is for another node was named by hand.
    async fn named(
        &self,
        volume: &VolumeId,
        nodes: BTreeSet<Box<str>>,
    ) -> Result<Vec<AttachmentRow>, Failure> {
        let reader = &self.core.reader;
        let driver = &*self.core.driver;
        let reads = nodes.into_iter().map(|node| async move {
            let name = Attachment::name_of(volume, driver, &node);
            let row = reader.get::<AttachmentRow>(&name).await?;
            Ok::<_, Failure>(row.filter(|row| row.node_name == node))
        });
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    /// What a LIST that begins from now on says about all attachments.
    async fn joined(&self) -> Result<Arc<Joined>, Failure> {
        let core = Arc::clone(&self.core);
        let read = || async move {
            let attachments = core.reader.list().await?;
            core.join(attachments).await
        };
        self.attachments.next(read).await
    }

    /// The names of the nodes whose plugin reports this id, by a LIST that begins from now on.
    async fn plugins(&self, node: &NodeId) -> Result<BTreeSet<Box<str>>, Failure> {
        let core = Arc::clone(&self.core);
        let read = || async move { core.reader.list::<CsiNodeRow>().await };
        let rows = self.plugins.next(read).await?;
        let ours = rows.iter().filter(|row| *row.node_id == *node.as_str());
        Ok(ours.map(|row| row.name.clone()).collect())
    }

    async fn machines(&self, names: &BTreeSet<Box<str>>) -> Result<Presence, Failure> {
        let reader = &self.core.reader;
        let reads = names.iter().map(|name| reader.get::<NodeRow>(name));
        let found = try_join_all(reads).await?;
        let presence = found.iter().map(|node| NodeRow::presence(node.as_ref()));
        Ok(livelier(presence))
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    /// The attachments are listed before everything else: a volume or node that a listed attachment
    /// names was there by then, so that one that is not found afterwards is gone.
    async fn survey(&self, slots: &HashSet<VolumeId>) -> Result<Survey, Error> {
        let reader = &self.core.reader;
        let attachments = reader.list::<AttachmentRow>().await?;
        let (volumes, csi_nodes, nodes) = tokio::try_join!(
            reader.list::<VolumeRow>(),
            reader.list::<CsiNodeRow>(),
            reader.list::<NodeRow>(),
        )?;
        let sheet = Sheet {
            attachments,
            volumes: shared(volumes),
            node_ids: ids(csi_nodes),
        };
        let mut joined = sheet.join(&self.core.driver);
        joined.recover(slots);
        let survey = joined.survey(&by_name(nodes));
        for attachment in &survey.unresolved {
            warn!(
                attachment,
                "a VolumeAttachment of ours belongs to no volume: its PersistentVolume is gone, and nothing on the RDS fits its name"
            );
        }
        Ok(survey)
    }

    /// The name of the attachment follows from the name of the node, and that only from what was
    /// watched: what is found is the truth. What is not found is looked for in a list of all, unless
    /// nothing that was watched hints at another name: Kubernetes itself gives no other, and on an
    /// idle API server a list may take the 100 ms until etcd has told that its cache is up to date.
    async fn claim(&self, volume: &VolumeId, node: &NodeId) -> Result<Option<Claim>, Error> {
        let mut names = self.core.mirror.plugins(node);
        if names.is_empty() {
            names = self.core.mirror.attached_as(node);
        }
        if names.is_empty() {
            names.insert(node.as_str().into());
        }
        let rows = self.named(volume, names).await?;
        if rows.is_empty() && self.core.mirror.leaves_one_name(volume, node) {
            return Ok(None);
        }
        let joined = self.core.join(rows).await?;
        let of_node = |claims: Vec<Claim>| claims.into_iter().find(|claim| claim.node == *node);
        if let Some(claim) = of_node(on(&joined, volume)?) {
            return Ok(Some(claim));
        }
        Ok(of_node(self.claims_on(volume).await?))
    }

    async fn claims_on(&self, volume: &VolumeId) -> Result<Vec<Claim>, Error> {
        Ok(on(&*self.joined().await?, volume)?)
    }

    /// A machine is taken for gone or off only after all that could know another name of it, or
    /// know it by this id, was asked.
    async fn presence(&self, node: &NodeId) -> Result<Presence, Error> {
        let mut names = self.core.mirror.plugins(node);
        if self.machines(&names).await? == Presence::Present {
            return Ok(Presence::Present);
        }
        names.append(&mut self.plugins(node).await?);
        names.append(&mut self.core.mirror.attached_as(node));
        if names.is_empty() {
            names.insert(node.as_str().into());
        }
        Ok(self.machines(&names).await?)
    }

    async fn knows(&self, node: &NodeId) -> Result<bool, Error> {
        let known = !self.core.mirror.plugins(node).is_empty();
        Ok(known || !self.plugins(node).await?.is_empty())
    }

    async fn record_remake(&self, claim: &Claim, subsystem: &str) -> Result<bool, Error> {
        if claim.remade.as_deref() == Some(subsystem) {
            return Ok(false);
        }
        let attachment = &claim.attachment;
        let patch = json!({"metadata": {
            "uid": attachment.uid,
            "resourceVersion": attachment.resource_version,
            "annotations": {REMADE: subsystem},
        }});
        let patched = self.core.reader.patch(&attachment.name, patch).await?;
        Ok(patched)
    }

    fn attachment(&self, volume: &VolumeId, node: &NodeId) -> String {
        let names = self.core.mirror.plugins(node);
        let name = names.first().map_or(node.as_str(), |name| name);
        Attachment::name_of(volume, &self.core.driver, name)
    }

    fn watched(&self, volume: &VolumeId) -> Option<Watched> {
        self.core.mirror.watched(volume)
    }
}

impl PvcLookup for KubeCluster {
    fn pvc_of(&self, volume: &VolumeId) -> Option<PvcRef> {
        self.core.mirror.pvc_of(volume)
    }
}

impl fmt::Debug for KubeCluster {
    /// Not the clients: they carry tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeCluster")
            .field("driver", &self.core.driver)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

// === impl Core ===

impl Core {
    /// Joins attachments that were just read with what they name: as watched, or read where the
    /// mirror does not show it. The handle of a PersistentVolume never changes, but another one may
    /// have its name by now: then the name of the attachment does not fit what was watched.
    async fn join(&self, attachments: Vec<AttachmentRow>) -> Result<Joined, Failure> {
        let mut volumes = HashMap::new();
        let mut node_ids = HashMap::new();
        let mut unknown = HashSet::new();
        let mut unnamed = HashSet::new();
        for row in attachments.iter().filter(|row| row.wish.is_some()) {
            if let Source::Volume(name) = &row.source {
                match self.mirror.volume(name) {
                    Some(volume) if is_named_for(row, &volume, &self.driver) => {
                        volumes.insert(name.clone(), volume);
                    }
                    Some(_) | None => {
                        unknown.insert(&**name);
                    }
                }
            }
            if row.node_id.is_none() {
                match self.mirror.node_id(&row.node_name) {
                    Some(id) => {
                        node_ids.insert(row.node_name.clone(), id);
                    }
                    None => {
                        unnamed.insert(&*row.node_name);
                    }
                }
            }
        }
        let (more_volumes, more_nodes) = tokio::try_join!(
            self.reader.some::<VolumeRow>(&unknown),
            self.reader.some::<CsiNodeRow>(&unnamed),
        )?;
        volumes.extend(shared(more_volumes));
        node_ids.extend(ids(more_nodes));
        let sheet = Sheet {
            attachments,
            volumes,
            node_ids,
        };
        Ok(sheet.join(&self.driver))
    }
}

/// The claims on a volume, or why they cannot be told.
fn on(joined: &Joined, volume: &VolumeId) -> Result<Vec<Claim>, Failure> {
    joined.on(volume).map_err(Failure::Unresolved)
}

/// Rows for one join, by name. Who they were made for does not matter there, and of ten thousand it
/// would be two megabytes.
fn shared(rows: Vec<VolumeRow>) -> HashMap<Box<str>, Arc<VolumeRow>> {
    let named = rows.into_iter().map(|row| {
        let row = VolumeRow { pvc: None, ..row };
        (row.name.clone(), Arc::new(row))
    });
    named.collect()
}

fn ids(rows: Vec<CsiNodeRow>) -> HashMap<Box<str>, Box<str>> {
    rows.into_iter()
        .map(|row| (row.name, row.node_id))
        .collect()
}
