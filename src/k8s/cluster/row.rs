//! What is kept of each object: a few strings, made as soon as the object is decoded.

use std::collections::BTreeMap;

use crate::domain::claim::{Presence, Wish};
use crate::domain::context::PublishContext;
use crate::domain::names::Names;
use crate::k8s::cluster::wire::{Attachments, CsiNodes, Nodes, Object, Read, VolumeSpec, Volumes};

/// Where external-attacher writes the id of the node, with its finalizer and before it calls
/// ControllerPublishVolume.
const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";
/// Our record that a lost pair was brought back: the subsystem name of that pair.
pub(super) const REMADE: &str = "rds.csi.srvlab.io/remade";
/// By this taint somebody vouches that the machine is off.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What is kept of an object of one kind.
pub(super) trait Row: Sized + Clone + Send + Sync + 'static {
    /// The kind.
    type Of: Read;

    /// The row of an object; `None` if it is none of `driver`'s.
    fn of(object: Object<Self::Of>, driver: &str) -> Option<Self>;

    /// The name of the object.
    fn name(&self) -> &str;

    /// What else it is looked up by.
    fn key(&self) -> Option<&str>;
}

/// A VolumeAttachment of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttachmentRow {
    pub(super) name: Box<str>,
    pub(super) uid: Box<str>,
    pub(super) version: Box<str>,
    pub(super) source: Source,
    pub(super) node_name: Box<str>,
    /// What external-attacher wrote down, if it did.
    pub(super) node_id: Option<Box<str>>,
    /// `None` if external-attacher has let go of it.
    pub(super) wish: Option<Wish>,
    pub(super) attached: bool,
    pub(super) told: Option<Names>,
    pub(super) remade: Option<Box<str>>,
}

/// Which volume an attachment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// By its PersistentVolume.
    Volume(Box<str>),
    /// By its handle: a volume inside a pod's spec, moved to CSI.
    Inline(Box<str>),
    /// Neither.
    Unknown,
}

/// A PersistentVolume of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeRow {
    pub(super) name: Box<str>,
    pub(super) handle: Box<str>,
    /// ReadWriteMany raw block.
    pub(super) shared: bool,
    pub(super) pvc: Option<Pvc>,
}

/// The claimRef of a PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pvc {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) uid: Option<Box<str>>,
}

/// A CSINode that has our node plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CsiNodeRow {
    pub(super) name: Box<str>,
    /// The id that the plugin reports.
    pub(super) node_id: Box<str>,
}

/// A Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeRow {
    pub(super) name: Box<str>,
    pub(super) out_of_service: bool,
}

// === impl AttachmentRow ===

impl Row for AttachmentRow {
    type Of = Attachments;

    fn of(object: Object<Attachments>, driver: &str) -> Option<Self> {
        let Object {
            metadata,
            spec,
            status,
        } = object;
        let spec = spec.filter(|spec| spec.attacher == driver)?;
        let status = status.unwrap_or_default();
        let mut annotations = metadata.annotations.unwrap_or_default();
        let finalizer = finalizer(driver);
        let finalizers = metadata.finalizers.unwrap_or_default();
        let told = status.attachment_metadata.unwrap_or_default();
        Some(Self {
            name: metadata.name?.into(),
            uid: metadata.uid?.into(),
            version: metadata.resource_version?.into(),
            source: match (
                spec.source.persistent_volume_name,
                spec.source.inline_volume_spec,
            ) {
                (Some(name), _) => Source::Volume(name.into()),
                (None, Some(inline)) => {
                    handle_of(inline, driver).map_or(Source::Unknown, Source::Inline)
                }
                (None, None) => Source::Unknown,
            },
            node_name: spec.node_name.into(),
            node_id: take(&mut annotations, NODE_ID),
            wish: Wish::of(
                metadata.deletion_timestamp.is_some(),
                finalizers.contains(&finalizer),
            ),
            attached: status.attached,
            told: PublishContext::names_in(|key| told.get(key).map(String::as_str)),
            remade: take(&mut annotations, REMADE),
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// The PersistentVolume, or the handle of an inline volume.
    fn key(&self) -> Option<&str> {
        match &self.source {
            Source::Volume(text) | Source::Inline(text) => Some(text),
            Source::Unknown => None,
        }
    }
}

/// external-attacher's finalizer on attachments of `driver`: whatever is no letter, digit or hyphen
/// becomes a hyphen, of which none may be the last letter (its `SanitizeDriverName`).
fn finalizer(driver: &str) -> String {
    let plain = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '-',
    };
    let mut name: String = driver.chars().map(plain).collect();
    if name.ends_with('-') {
        name.push('X');
    }
    format!("external-attacher/{name}")
}

/// An annotation that says something.
fn take(annotations: &mut BTreeMap<String, String>, key: &str) -> Option<Box<str>> {
    let value = annotations.remove(key)?;
    (!value.is_empty()).then(|| value.into())
}

fn handle_of(spec: VolumeSpec, driver: &str) -> Option<Box<str>> {
    let csi = spec.csi.filter(|csi| csi.driver == driver)?;
    Some(csi.volume_handle.into())
}

// === impl VolumeRow ===

impl Row for VolumeRow {
    type Of = Volumes;

    fn of(object: Object<Volumes>, driver: &str) -> Option<Self> {
        let mut spec = object.spec?;
        let modes = spec.access_modes.take().unwrap_or_default();
        let many = modes.iter().any(|mode| mode == "ReadWriteMany");
        let block = spec.volume_mode.as_deref() == Some("Block");
        let pvc = spec.claim_ref.take().and_then(|claim| {
            Some(Pvc {
                namespace: claim.namespace?.into(),
                name: claim.name?.into(),
                uid: claim.uid.map(Into::into),
            })
        });
        Some(Self {
            name: object.metadata.name?.into(),
            handle: handle_of(spec, driver)?,
            shared: many && block,
            pvc,
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// The volume handle.
    fn key(&self) -> Option<&str> {
        Some(&self.handle)
    }
}

// === impl CsiNodeRow ===

impl Row for CsiNodeRow {
    type Of = CsiNodes;

    fn of(object: Object<CsiNodes>, driver: &str) -> Option<Self> {
        let drivers = object.spec?.drivers?;
        let ours = drivers.into_iter().find(|entry| entry.name == driver)?;
        Some(Self {
            name: object.metadata.name?.into(),
            node_id: ours.node_id.into(),
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// The node id.
    fn key(&self) -> Option<&str> {
        Some(&self.node_id)
    }
}

// === impl NodeRow ===

impl Row for NodeRow {
    type Of = Nodes;

    fn of(object: Object<Nodes>, _: &str) -> Option<Self> {
        let taints = object.spec.and_then(|spec| spec.taints).unwrap_or_default();
        Some(Self {
            name: object.metadata.name?.into(),
            out_of_service: taints.iter().any(|taint| taint.key == OUT_OF_SERVICE),
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> Option<&str> {
        None
    }
}

impl NodeRow {
    /// What a Node object, or its absence, says of the machine.
    pub(super) fn presence(node: Option<&Self>) -> Presence {
        match node {
            None => Presence::Gone,
            Some(node) if node.out_of_service => Presence::OutOfService,
            Some(_) => Presence::Present,
        }
    }
}

#[cfg(test)]
mod tests;
