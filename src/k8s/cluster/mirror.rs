//! What was watched: small copies of what Kubernetes knows, on every replica. They say where to
//! look, and what hardly ever changes; decisions rest on quorum reads.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::domain::claim::{Claim, Presence, PvcRef, Watched};
use crate::domain::id::{NodeId, VolumeId};
use crate::k8s::client::WATCH_SECONDS;
use crate::k8s::cluster::failure::Failure;
use crate::k8s::cluster::join::{Sheet, livelier};
use crate::k8s::cluster::row::{AttachmentRow, CsiNodeRow, NodeRow, Row, Source, VolumeRow};
use crate::k8s::cluster::table::{Change, Kept};
use crate::k8s::cluster::wire::Object;

/// The watched rows of all four kinds.
#[derive(Debug)]
pub(super) struct Mirror {
    driver: Arc<str>,
    attachments: Mutex<Kept<AttachmentRow>>,
    volumes: Mutex<Kept<VolumeRow>>,
    csi_nodes: Mutex<Kept<CsiNodeRow>>,
    nodes: Mutex<Kept<NodeRow>>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
}

/// How much has been watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// VolumeAttachments of this driver.
    pub attachments: usize,
    /// PersistentVolumes of this driver.
    pub volumes: usize,
    /// Nodes with this driver's plugin, by their CSINodes.
    pub plugins: usize,
    /// Nodes.
    pub nodes: usize,
    /// Whether each of the four was listed as a whole once; before that the numbers mean nothing.
    pub whole: bool,
}

// === impl Mirror ===

impl Mirror {
    pub(super) fn new(driver: &Arc<str>) -> Self {
        Self {
            driver: Arc::clone(driver),
            attachments: Mutex::default(),
            volumes: Mutex::default(),
            csi_nodes: Mutex::default(),
            nodes: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Follows all four kinds for ever.
    pub(super) async fn follow(&self, client: &Client) {
        tokio::join!(
            Box::pin(self.follow_kind(client, &self.attachments)),
            Box::pin(self.follow_kind(client, &self.volumes)),
            Box::pin(self.follow_kind(client, &self.csi_nodes)),
            Box::pin(self.follow_kind(client, &self.nodes)),
        );
    }

    /// A watch that broke is taken up again where it was, or from a new list where that is too long
    /// ago. The library's pauses after failures grow from 0.8 s to 30 s.
    async fn follow_kind<R: Row + PartialEq>(&self, client: &Client, kept: &Mutex<Kept<R>>) {
        let api: Api<Object<R::Of>> = Api::all(client.clone());
        let kind = Object::<R::Of>::plural(&());
        let config = Config::default().timeout(WATCH_SECONDS);
        let mut events = pin!(watcher(api, config).default_backoff());
        // The last failure: an outage is one line in the log, not one per try.
        let mut trouble: Option<String> = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // A list begins before anything was answered.
                    if !matches!(event, Event::Init) && trouble.take().is_some() {
                        info!(%kind, "watching again");
                    }
                    lock(kept).apply(change(event, &self.driver));
                    self.changes.send_modify(|count| *count += 1);
                }
                Err(error) => {
                    let failure = Failure::of_watch::<Object<R::Of>>(error);
                    let reason = failure.to_string();
                    let error = &failure as &dyn std::error::Error;
                    if trouble.as_ref() == Some(&reason) {
                        debug!(%kind, error, "still not watching");
                    } else {
                        warn!(%kind, error, "not watching; what was watched gets old, but no decision rests on it");
                        trouble = Some(reason);
                    }
                }
            }
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn counts(&self) -> Counts {
        let (attachments, all) = size(&self.attachments);
        let (volumes, all) = both(size(&self.volumes), all);
        let (plugins, all) = both(size(&self.csi_nodes), all);
        let (nodes, whole) = both(size(&self.nodes), all);
        Counts {
            attachments,
            volumes,
            plugins,
            nodes,
            whole,
        }
    }

    /// One volume; `None` before everything was listed once.
    pub(super) fn watched(&self, volume: &VolumeId) -> Option<Watched> {
        let claims = self.claims(volume)?;
        let presence = claims
            .iter()
            .filter_map(|claim| Some((claim.node.clone(), self.presence(&claim.node)?)))
            .collect();
        let is_known = !lock(&self.volumes).by_key(volume.as_str()).is_empty();
        Some(Watched {
            claims,
            presence,
            is_known,
        })
    }

    /// The claims on a volume; `None` before everything was listed once. Attachments whose
    /// PersistentVolume is gone are not among them.
    pub(super) fn claims(&self, volume: &VolumeId) -> Option<Vec<Claim>> {
        if !self.counts().whole {
            return None;
        }
        let volumes: HashMap<Box<str>, Arc<VolumeRow>> = lock(&self.volumes)
            .by_key(volume.as_str())
            .iter()
            .map(|row| (row.name.clone(), Arc::clone(row)))
            .collect();
        let attachments = self.attachments_on(volume, &volumes);
        let node_ids = {
            let csi_nodes = lock(&self.csi_nodes);
            let ids = attachments.iter().filter_map(|row| {
                let node = csi_nodes.get(&row.node_name)?;
                Some((node.name.clone(), node.node_id.clone()))
            });
            ids.collect()
        };
        let sheet = Sheet {
            attachments,
            volumes,
            node_ids,
        };
        Some(sheet.join(&self.driver).resolved(volume))
    }

    fn attachments_on(
        &self,
        volume: &VolumeId,
        volumes: &HashMap<Box<str>, Arc<VolumeRow>>,
    ) -> Vec<AttachmentRow> {
        let attachments = lock(&self.attachments);
        let inline = attachments
            .by_key(volume.as_str())
            .iter()
            // A PersistentVolume may be called like the volume.
            .filter(|row| matches!(row.source, Source::Inline(_)));
        volumes
            .keys()
            .flat_map(|name| attachments.by_key(name))
            .filter(|row| matches!(row.source, Source::Volume(_)))
            .chain(inline)
            .map(|row| AttachmentRow::clone(row))
            .collect()
    }

    /// The PersistentVolume of this name, if it was shown as one of ours.
    pub(super) fn volume(&self, name: &str) -> Option<Arc<VolumeRow>> {
        lock(&self.volumes).get(name).cloned()
    }

    /// Whether a claim of this node on this volume can have but one name, the computed one: one plugin
    /// alone reports the id, no attachment has it for a node of another name, and none of this volume
    /// is watched that has it under any name. That takes nothing but what was watched into account:
    /// whether there is a claim of that name is for a read to say.
    pub(super) fn leaves_one_name(&self, volume: &VolumeId, node: &NodeId) -> bool {
        let plugins = self.plugins(node);
        let Some(claims) = self.claims(volume) else {
            return false;
        };
        plugins.len() == 1
            && self.attached_as(node).is_subset(&plugins)
            && claims.iter().all(|claim| claim.node != *node)
    }

    /// The id of the node of this name.
    pub(super) fn node_id(&self, name: &str) -> Option<Box<str>> {
        let csi_nodes = lock(&self.csi_nodes);
        Some(csi_nodes.get(name)?.node_id.clone())
    }

    /// The names of the nodes whose plugin reports this id.
    pub(super) fn plugins(&self, node: &NodeId) -> BTreeSet<Box<str>> {
        let csi_nodes = lock(&self.csi_nodes);
        let rows = csi_nodes.by_key(node.as_str()).iter();
        rows.map(|row| row.name.clone()).collect()
    }

    /// The names of the nodes that attachments give this id.
    pub(super) fn attached_as(&self, node: &NodeId) -> BTreeSet<Box<str>> {
        let attachments = lock(&self.attachments);
        attachments
            .iter()
            .filter(|row| row.node_id.as_deref() == Some(node.as_str()))
            .map(|row| row.node_name.clone())
            .collect()
    }

    /// The machine behind a node id; `None` before everything was listed once, or for an id that
    /// nothing watched gives to a node.
    pub(super) fn presence(&self, node: &NodeId) -> Option<Presence> {
        if !self.counts().whole {
            return None;
        }
        let mut names = self.plugins(node);
        names.append(&mut self.attached_as(node));
        let nodes = lock(&self.nodes);
        let found = names
            .iter()
            .map(|name| NodeRow::presence(nodes.get(name).map(Arc::as_ref)));
        (!names.is_empty()).then(|| livelier(found))
    }

    /// The volume of the PersistentVolumeClaim of this name.
    pub(super) fn volume_of(&self, namespace: &str, name: &str) -> Option<VolumeId> {
        let volumes = lock(&self.volumes);
        let mut claimed = volumes.iter().filter(|row| {
            row.pvc
                .as_ref()
                .is_some_and(|pvc| *pvc.namespace == *namespace && *pvc.name == *name)
        });
        claimed.next()?.handle.parse().ok()
    }

    pub(super) fn pvc_of(&self, volume: &VolumeId) -> Option<PvcRef> {
        let volumes = lock(&self.volumes);
        let rows = volumes.by_key(volume.as_str()).iter();
        let mut claimed = rows.filter_map(|row| Some((row, row.pvc.as_ref()?)));
        let (row, pvc) = claimed.next()?;
        Some(PvcRef {
            namespace: pvc.namespace.to_string(),
            name: pvc.name.to_string(),
            uid: pvc.uid.as_deref().map(str::to_owned),
            volume_name: row.name.to_string(),
        })
    }
}

fn change<R: Row>(event: Event<Object<R::Of>>, driver: &str) -> Change<R> {
    match event {
        Event::Init => Change::Begin,
        Event::InitApply(object) => R::of(object, driver).map_or(Change::Nothing, Change::Listed),
        Event::InitDone => Change::Done,
        Event::Apply(object) => {
            let name = object.metadata.name.clone().unwrap_or_default();
            R::of(object, driver).map_or(Change::Remove(name), Change::Put)
        }
        Event::Delete(object) => Change::Remove(object.metadata.name.unwrap_or_default()),
    }
}

fn size<R: Row + PartialEq>(kept: &Mutex<Kept<R>>) -> (usize, bool) {
    let kept = lock(kept);
    (kept.len(), kept.is_whole())
}

fn both((len, whole): (usize, bool), others: bool) -> (usize, bool) {
    (len, whole && others)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
