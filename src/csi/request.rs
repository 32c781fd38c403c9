//! CSI requests, read strictly: whatever is missing, malformed or not offered is refused by name
//! before anything acts on it. Nothing past this file sees a string that has not been checked.
//!
//! Secrets are never read: RDS credentials are the controller's own.

mod capability;

use std::collections::HashMap;

use crate::csi::request::capability::{access, accesses};
use crate::domain::access::AccessType;
use crate::domain::capacity::SizeRange;
use crate::domain::context::Portal;
use crate::domain::error::Error;
use crate::domain::id::{MAX_NAME, NodeId, VolumeId, check_name};
use crate::domain::parameters::Parameters;
use crate::proto::csi;
use crate::service::{CreateVolume, PublishVolume};

/// The length of a list that has no limit.
const ALL: usize = usize::MAX;

/// ControllerExpandVolume, read.
#[derive(Debug)]
pub struct Expand {
    /// What (`None`: an id that is never ours, so no such volume).
    pub id: Option<VolumeId>,
    /// To what size.
    pub size: SizeRange,
    /// Whether a filesystem has to grow with it, which only the node can do.
    pub node_expansion: bool,
}

/// ControllerUnpublishVolume, read.
#[derive(Debug)]
pub struct Unpublish {
    /// What (`None`: an id that is never ours, so no such volume).
    pub id: Option<VolumeId>,
    /// From where; `None` is from every node.
    pub node: Option<NodeId>,
}

/// ValidateVolumeCapabilities, read.
#[derive(Debug)]
pub struct Validate {
    /// What (`None`: an id that is never ours, so no such volume).
    pub id: Option<VolumeId>,
    /// Whether everything that was asked about is served; if not, what is not.
    pub verdict: Result<(), Error>,
}

/// ListVolumes, read.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    /// Where to begin; `None` is at the start.
    pub token: Option<String>,
    /// At most this many.
    pub max: usize,
}

/// Reads CreateVolume. Topology is not offered, and accessibility requirements are then to be
/// ignored (CSI, CreateVolumeRequest).
///
/// # Errors
/// `Invalid` or `OutOfRange`, naming the field.
pub fn create(request: &csi::CreateVolumeRequest) -> Result<CreateVolume, Error> {
    check_name("name", &request.name, MAX_NAME)?;
    accesses(&request.volume_capabilities)?;
    if request.volume_content_source.is_some() {
        return Err(Error::invalid(
            "volume_content_source is not supported: volumes cannot be made from snapshots or other volumes",
        ));
    }
    no_mutable_parameters(&request.mutable_parameters)?;
    Ok(CreateVolume {
        name: request.name.clone(),
        size: size(request.capacity_range.as_ref())?,
        parameters: parameters(&request.parameters)?,
    })
}

/// Reads DeleteVolume.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn delete(request: &csi::DeleteVolumeRequest) -> Result<Option<VolumeId>, Error> {
    VolumeId::from_request(&request.volume_id)
}

/// Reads ControllerExpandVolume. Without a capability the volume is taken to hold a filesystem:
/// a node that has none to grow says so, a filesystem that is never grown stays small.
///
/// # Errors
/// `Invalid` or `OutOfRange`, naming the field.
pub fn expand(request: &csi::ControllerExpandVolumeRequest) -> Result<Expand, Error> {
    let id = VolumeId::from_request(&request.volume_id)?;
    let range = request
        .capacity_range
        .filter(|range| range.required_bytes != 0 || range.limit_bytes != 0)
        .ok_or_else(|| {
            Error::invalid("capacity_range is missing: it must give required_bytes or limit_bytes")
        })?;
    let capability = request
        .volume_capability
        .as_ref()
        .map(|given| access("volume_capability", given))
        .transpose()?;
    Ok(Expand {
        id,
        size: size(Some(&range))?,
        node_expansion: capability.is_none_or(|access| access.kind != AccessType::Block),
    })
}

/// Reads ControllerPublishVolume.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn publish(request: &csi::ControllerPublishVolumeRequest) -> Result<PublishVolume, Error> {
    let id = VolumeId::from_request(&request.volume_id)?;
    let node = request.node_id.parse()?;
    let capability = request
        .volume_capability
        .as_ref()
        .ok_or_else(|| Error::invalid("volume_capability is missing"))?;
    let access = access("volume_capability", capability)?;
    if request.readonly {
        return Err(Error::invalid(
            "readonly is not supported: this driver does not offer PUBLISH_READONLY; let the pod mount the volume read-only",
        ));
    }
    Ok(PublishVolume {
        id,
        node,
        access,
        portal: Portal::from_request(&request.volume_context)?,
    })
}

/// Reads ControllerUnpublishVolume; an empty node id is "from every node" (CSI,
/// ControllerUnpublishVolumeRequest).
///
/// # Errors
/// `Invalid`, naming the field.
pub fn unpublish(request: &csi::ControllerUnpublishVolumeRequest) -> Result<Unpublish, Error> {
    let node = Some(request.node_id.as_str()).filter(|node| !node.is_empty());
    Ok(Unpublish {
        id: VolumeId::from_request(&request.volume_id)?,
        node: node.map(str::parse).transpose()?,
    })
}

/// Reads ValidateVolumeCapabilities. What is not served is the call's answer and not its failure.
///
/// # Errors
/// `Invalid` if there is no volume id or nothing to validate.
pub fn validate(request: &csi::ValidateVolumeCapabilitiesRequest) -> Result<Validate, Error> {
    let id = VolumeId::from_request(&request.volume_id)?;
    if request.volume_capabilities.is_empty() {
        return Err(Error::invalid("volume_capabilities is missing"));
    }
    Ok(Validate {
        id,
        verdict: verdict(request),
    })
}

/// Reads ListVolumes.
///
/// # Errors
/// `Invalid` for a negative number.
pub fn list(request: &csi::ListVolumesRequest) -> Result<List, Error> {
    let max = usize::try_from(request.max_entries).map_err(|_| {
        Error::invalid(format!("max_entries is negative ({})", request.max_entries))
    })?;
    Ok(List {
        token: Some(request.starting_token.clone()).filter(|token| !token.is_empty()),
        max: if max == 0 { ALL } else { max },
    })
}

/// Reads ControllerGetVolume.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn get(request: &csi::ControllerGetVolumeRequest) -> Result<Option<VolumeId>, Error> {
    VolumeId::from_request(&request.volume_id)
}

/// Reads GetCapacity.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn capacity(request: &csi::GetCapacityRequest) -> Result<Parameters, Error> {
    if !request.volume_capabilities.is_empty() {
        accesses(&request.volume_capabilities)?;
    }
    parameters(&request.parameters)
}

fn verdict(request: &csi::ValidateVolumeCapabilitiesRequest) -> Result<(), Error> {
    accesses(&request.volume_capabilities)?;
    Portal::from_request(&request.volume_context)?;
    parameters(&request.parameters)?;
    no_mutable_parameters(&request.mutable_parameters)
}

fn size(range: Option<&csi::CapacityRange>) -> Result<SizeRange, Error> {
    let (required, limit) = range.map_or((0, 0), |range| (range.required_bytes, range.limit_bytes));
    SizeRange::from_request(required, limit)
}

fn parameters(raw: &HashMap<String, String>) -> Result<Parameters, Error> {
    Parameters::from_request(
        raw.iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    )
}

fn no_mutable_parameters(raw: &HashMap<String, String>) -> Result<(), Error> {
    if raw.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(
        "mutable_parameters are not supported: this driver does not offer MODIFY_VOLUME; do not use a VolumeAttributesClass",
    ))
}

#[cfg(test)]
mod tests;
