//! The few fields that are read of each kind. Nothing else is even decoded: managed fields and
//! statuses make up most of an object, and ten thousand of them are read at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// A kind of the API, and what is read of it.
pub(super) trait Read: Debug + Clone + Send + Sync + 'static {
    /// The kind.
    type Kind: k8s_openapi::Resource;
    /// What is read of `spec`.
    type Spec: DeserializeOwned + Clone + Debug + Default + Send + Sync;
    /// What is read of `status`.
    type Status: DeserializeOwned + Clone + Debug + Default + Send + Sync;
}

/// An object of the API, reduced to what [`Read`] names.
#[derive(Debug, Clone, Deserialize)]
#[serde(bound = "")]
pub(super) struct Object<R: Read> {
    #[serde(deserialize_with = "narrow")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Option<R::Spec>,
    #[serde(default)]
    pub(super) status: Option<R::Status>,
}

/// VolumeAttachments.
#[derive(Debug, Clone)]
pub(super) struct Attachments;
/// PersistentVolumes.
#[derive(Debug, Clone)]
pub(super) struct Volumes;
/// CSINodes.
#[derive(Debug, Clone)]
pub(super) struct CsiNodes;
/// Nodes.
#[derive(Debug, Clone)]
pub(super) struct Nodes;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AttachmentSpec {
    pub(super) attacher: String,
    pub(super) node_name: String,
    pub(super) source: AttachmentSource,
}

/// One of the two is set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AttachmentSource {
    pub(super) persistent_volume_name: Option<String>,
    pub(super) inline_volume_spec: Option<VolumeSpec>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AttachmentStatus {
    pub(super) attached: bool,
    pub(super) attachment_metadata: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VolumeSpec {
    pub(super) csi: Option<CsiSource>,
    pub(super) access_modes: Option<Vec<String>>,
    pub(super) volume_mode: Option<String>,
    pub(super) claim_ref: Option<ClaimRef>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CsiSource {
    pub(super) driver: String,
    pub(super) volume_handle: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClaimRef {
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) uid: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CsiNodeSpec {
    pub(super) drivers: Option<Vec<CsiNodeDriver>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CsiNodeDriver {
    pub(super) name: String,
    #[serde(rename = "nodeID")]
    pub(super) node_id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    pub(super) taints: Option<Vec<Taint>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taint {
    pub(super) key: String,
}

/// A part of which nothing is read.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Nothing {}

/// What is read of `metadata`. An answer without the first three is no object that was ever stored,
/// and is refused as a whole: an attachment that is left out would look like one that is not there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    uid: String,
    resource_version: String,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    annotations: Option<BTreeMap<String, String>>,
}

fn narrow<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Metadata {
        name,
        uid,
        resource_version,
        deletion_timestamp,
        finalizers,
        annotations,
    } = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: Some(name),
        uid: Some(uid),
        resource_version: Some(resource_version),
        deletion_timestamp,
        finalizers,
        annotations,
        ..ObjectMeta::default()
    })
}

// === impl Read ===

impl Read for Attachments {
    type Kind = VolumeAttachment;
    type Spec = AttachmentSpec;
    type Status = AttachmentStatus;
}

impl Read for Volumes {
    type Kind = PersistentVolume;
    type Spec = VolumeSpec;
    type Status = Nothing;
}

impl Read for CsiNodes {
    type Kind = CSINode;
    type Spec = CsiNodeSpec;
    type Status = Nothing;
}

impl Read for Nodes {
    type Kind = Node;
    type Spec = NodeSpec;
    type Status = Nothing;
}

// === impl Object ===

/// All four kinds belong to the cluster, not to a namespace.
impl<R: Read> Resource for Object<R> {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        <R::Kind as k8s_openapi::Resource>::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        <R::Kind as k8s_openapi::Resource>::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        <R::Kind as k8s_openapi::Resource>::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        <R::Kind as k8s_openapi::Resource>::URL_PATH_SEGMENT.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
