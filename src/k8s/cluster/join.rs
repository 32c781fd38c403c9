//! From rows to claims: which volume and which node each attachment means. Nothing here waits.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::domain::claim::{Attachment, Claim, Presence, Survey, Wish};
use crate::domain::id::{NodeId, VolumeId};
use crate::k8s::cluster::row::{AttachmentRow, NodeRow, Source, VolumeRow};

/// What was read for one join.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) attachments: Vec<AttachmentRow>,
    /// PersistentVolumes of ours, by name.
    pub(super) volumes: HashMap<Box<str>, Arc<VolumeRow>>,
    /// The ids that our node plugins report, by the name of the node.
    pub(super) node_ids: HashMap<Box<str>, Box<str>>,
}

/// The claims in a sheet.
#[derive(Debug)]
pub(super) struct Joined {
    driver: Box<str>,
    claims: HashMap<VolumeId, Vec<Claim>>,
    blocked: HashMap<VolumeId, String>,
    /// Attachments whose volume is not known.
    dangling: Vec<Dangling>,
    /// The names that nodes of claims have.
    machines: HashMap<NodeId, BTreeSet<Box<str>>>,
}

/// An attachment whose volume is not known, with the node it is for, or why that is not known.
#[derive(Debug, Clone)]
struct Dangling {
    row: AttachmentRow,
    wish: Wish,
    node: Result<NodeId, String>,
}

/// What an attachment says about its volume.
enum Handle {
    /// It is one of ours.
    Known { volume: VolumeId, shared: bool },
    /// It is none that can be on the RDS: nobody is ever granted it.
    NeverOurs,
    /// Its PersistentVolume is gone, or belongs to another driver.
    Lost,
}

// === impl Sheet ===

impl Sheet {
    pub(super) fn join(self, driver: &str) -> Joined {
        let Self {
            attachments,
            volumes,
            node_ids,
        } = self;
        let mut joined = Joined {
            driver: driver.into(),
            claims: HashMap::new(),
            blocked: HashMap::new(),
            dangling: Vec::new(),
            machines: HashMap::new(),
        };
        for row in attachments {
            // Detached; what keeps the object is no business of ours.
            let Some(wish) = row.wish else { continue };
            let node = node_of(&row, &node_ids);
            let handle = handle_of(&row.source, &volumes);
            let row = Dangling { row, wish, node };
            match handle {
                Handle::Known { volume, shared } => joined.settle(row, volume, shared),
                Handle::NeverOurs => {}
                Handle::Lost => joined.dangling.push(row),
            }
        }
        joined.sort();
        joined
    }
}

fn handle_of(source: &Source, volumes: &HashMap<Box<str>, Arc<VolumeRow>>) -> Handle {
    let (handle, shared) = match source {
        Source::Volume(name) => match volumes.get(name) {
            Some(volume) => (&volume.handle, volume.shared),
            None => return Handle::Lost,
        },
        // An inline volume belongs to one pod.
        Source::Inline(handle) => (handle, false),
        Source::Unknown => return Handle::Lost,
    };
    match handle.parse() {
        Ok(volume) => Handle::Known { volume, shared },
        Err(_) => Handle::NeverOurs,
    }
}

/// The id of the node: as external-attacher wrote it down, else as the node plugin reports it. The
/// name of a node is not its id.
fn node_of(row: &AttachmentRow, node_ids: &HashMap<Box<str>, Box<str>>) -> Result<NodeId, String> {
    let (attachment, node) = (&row.name, &row.node_name);
    let id = row.node_id.as_ref().or_else(|| node_ids.get(node));
    let id = id.ok_or_else(|| {
        format!(
            "VolumeAttachment {attachment} does not tell the id of its node {node}, nor does the \
             CSINode; it is known once our node plugin runs there, or not needed once the \
             VolumeAttachment is gone"
        )
    })?;
    id.parse().map_err(|error| {
        format!(
            "VolumeAttachment {attachment}: the id \"{id}\" of its node {node} is none: {error}"
        )
    })
}

fn claim(row: AttachmentRow, wish: Wish, volume: VolumeId, node: NodeId, shared: bool) -> Claim {
    Claim {
        attachment: Attachment {
            name: row.name.into(),
            uid: row.uid.into(),
            resource_version: row.version.into(),
        },
        volume,
        node,
        wish,
        attached: row.attached,
        told: row.told,
        remade: row.remade.map(Into::into),
        shared,
    }
}

// === impl Joined ===

impl Joined {
    /// Finds the volumes of attachments whose PersistentVolume is gone: the name of an attachment is
    /// a hash of volume, driver and node, so that at most one volume fits.
    pub(super) fn recover(&mut self, slots: &HashSet<VolumeId>) {
        let mut nodes: HashMap<Box<str>, HashMap<Box<str>, Dangling>> = HashMap::new();
        for row in self.dangling.drain(..) {
            let of_node = nodes.entry(row.row.node_name.clone()).or_default();
            of_node.insert(row.row.name.clone(), row);
        }
        for (node, mut rows) in nodes {
            for volume in slots {
                if rows.is_empty() {
                    break;
                }
                let name = Attachment::name_of(volume, &self.driver, &node);
                if let Some(row) = rows.remove(name.as_str()) {
                    // How it may be accessed went with the PersistentVolume: one writer.
                    self.settle(row, volume.clone(), false);
                }
            }
            self.dangling.extend(rows.into_values());
        }
        self.sort();
    }

    /// Everything, with the machines as `nodes` shows them.
    pub(super) fn survey(self, nodes: &HashMap<Box<str>, NodeRow>) -> Survey {
        let presence = self.machines.into_iter().map(|(node, names)| {
            let found = names.iter().map(|name| NodeRow::presence(nodes.get(name)));
            (node, livelier(found))
        });
        let mut unresolved: Vec<String> = self
            .dangling
            .into_iter()
            .map(|row| row.row.name.into())
            .collect();
        unresolved.sort_unstable();
        Survey {
            presence: presence.collect(),
            claims: self.claims,
            blocked: self.blocked,
            unresolved,
        }
    }

    /// The claims on one volume, in order of attachment name.
    ///
    /// # Errors
    /// An attachment of it cannot be resolved, and why.
    pub(super) fn on(&self, volume: &VolumeId) -> Result<Vec<Claim>, String> {
        if let Some(why) = self.blocked.get(volume) {
            return Err(why.clone());
        }
        let mut claims = self.claims.get(volume).cloned().unwrap_or_default();
        for Dangling { row, wish, node } in &self.dangling {
            if *row.name == *Attachment::name_of(volume, &self.driver, &row.node_name) {
                let node = node.clone()?;
                claims.push(claim(row.clone(), *wish, volume.clone(), node, false));
            }
        }
        claims.sort_by(|a, b| a.attachment.name.cmp(&b.attachment.name));
        Ok(claims)
    }

    /// The claims on one volume as far as they could be resolved.
    pub(super) fn resolved(mut self, volume: &VolumeId) -> Vec<Claim> {
        self.claims.remove(volume).unwrap_or_default()
    }

    fn settle(&mut self, row: Dangling, volume: VolumeId, shared: bool) {
        let Dangling { row, wish, node } = row;
        match node {
            Ok(node) => {
                let names = self.machines.entry(node.clone()).or_default();
                if !names.contains(&row.node_name) {
                    names.insert(row.node_name.clone());
                }
                let claim = claim(row, wish, volume.clone(), node, shared);
                self.claims.entry(volume).or_default().push(claim);
            }
            Err(why) => {
                self.blocked.insert(volume, why);
            }
        }
    }

    fn sort(&mut self) {
        for claims in self.claims.values_mut() {
            claims.sort_by(|a, b| a.attachment.name.cmp(&b.attachment.name));
        }
    }
}

/// Whether the name of an attachment is that of one to this volume, as Kubernetes names it.
pub(super) fn is_named_for(row: &AttachmentRow, volume: &VolumeRow, driver: &str) -> bool {
    volume
        .handle
        .parse()
        .is_ok_and(|id: VolumeId| *row.name == *Attachment::name_of(&id, driver, &row.node_name))
}

/// Of several Node objects behind one id, the one that speaks most against cutting it off.
pub(super) fn livelier(found: impl Iterator<Item = Presence>) -> Presence {
    found.fold(Presence::Gone, |best, next| match (best, next) {
        (Presence::Present, _) | (_, Presence::Present) => Presence::Present,
        (Presence::OutOfService, _) | (_, Presence::OutOfService) => Presence::OutOfService,
        (Presence::Gone, Presence::Gone) => Presence::Gone,
    })
}

#[cfg(test)]
mod tests;
