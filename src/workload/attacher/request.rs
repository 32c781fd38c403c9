//! A PersistentVolume as the parts of a publish request.

use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolume};
use k8s_openapi::api::storage::v1::VolumeAttachment;

use crate::proto::csi;
use crate::proto::csi::volume_capability::access_mode::Mode;
use crate::proto::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use crate::workload::secrets;

/// The part of a PersistentVolume that a driver wrote.
pub(super) fn source(volume: &PersistentVolume) -> Option<&CSIPersistentVolumeSource> {
    volume.spec.as_ref()?.csi.as_ref()
}

/// The PersistentVolume that an attachment names.
pub(super) fn volume_name(attachment: &VolumeAttachment) -> Option<&str> {
    attachment.spec.source.persistent_volume_name.as_deref()
}

/// The request to publish a volume to a node. `multi_writer` says whether the driver knows the finer
/// modes of one node (SINGLE_NODE_MULTI_WRITER).
pub(super) fn publish(
    volume: &PersistentVolume,
    source: &CSIPersistentVolumeSource,
    node_id: &str,
    multi_writer: bool,
) -> csi::ControllerPublishVolumeRequest {
    let attributes = source.volume_attributes.clone().unwrap_or_default();
    csi::ControllerPublishVolumeRequest {
        volume_id: source.volume_handle.clone(),
        node_id: node_id.to_owned(),
        volume_capability: Some(capability(volume, source, multi_writer)),
        volume_context: attributes.into_iter().collect(),
        secrets: secrets::of_a_call(),
        ..Default::default()
    }
}

fn capability(
    volume: &PersistentVolume,
    source: &CSIPersistentVolumeSource,
    multi_writer: bool,
) -> csi::VolumeCapability {
    let spec = volume.spec.as_ref();
    let is_block = spec.and_then(|spec| spec.volume_mode.as_deref()) == Some("Block");
    let access_type = if is_block {
        AccessType::Block(BlockVolume {})
    } else {
        AccessType::Mount(MountVolume {
            fs_type: source.fs_type.clone().unwrap_or_default(),
            mount_flags: spec
                .and_then(|spec| spec.mount_options.clone())
                .unwrap_or_default(),
            ..Default::default()
        })
    };
    let modes = spec.and_then(|spec| spec.access_modes.as_deref());
    let mode = mode(modes.unwrap_or_default(), multi_writer);
    csi::VolumeCapability {
        access_type: Some(access_type),
        access_mode: Some(AccessMode { mode: mode.into() }),
    }
}

/// The widest of the modes that the PersistentVolume offers.
fn mode(modes: &[String], multi_writer: bool) -> Mode {
    let has = |wanted: &str| modes.iter().any(|mode| mode == wanted);
    match (multi_writer, has("ReadWriteOnce")) {
        _ if has("ReadWriteMany") => Mode::MultiNodeMultiWriter,
        (_, true) if has("ReadOnlyMany") => Mode::MultiNodeSingleWriter,
        _ if has("ReadOnlyMany") => Mode::MultiNodeReaderOnly,
        (true, _) if has("ReadWriteOncePod") => Mode::SingleNodeSingleWriter,
        (true, true) => Mode::SingleNodeMultiWriter,
        _ => Mode::SingleNodeWriter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_modes_are_those_external_attacher_asks_for() {
        let rows: [(&[&str], bool, Mode); 7] = [
            (&["ReadWriteOnce"], false, Mode::SingleNodeWriter),
            (&["ReadWriteOnce"], true, Mode::SingleNodeMultiWriter),
            (&["ReadWriteOncePod"], false, Mode::SingleNodeWriter),
            (&["ReadWriteOncePod"], true, Mode::SingleNodeSingleWriter),
            (&["ReadWriteMany"], true, Mode::MultiNodeMultiWriter),
            (&["ReadOnlyMany"], true, Mode::MultiNodeReaderOnly),
            (
                &["ReadWriteOnce", "ReadOnlyMany"],
                true,
                Mode::MultiNodeSingleWriter,
            ),
        ];
        for (modes, multi_writer, expected) in rows {
            let modes: Vec<String> = modes.iter().map(|&mode| mode.to_owned()).collect();
            assert_eq!(mode(&modes, multi_writer), expected, "{modes:?}");
        }
    }
}
