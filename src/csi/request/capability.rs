//! Volume capabilities: what each one says, and whether a set of them goes together.

use crate::domain::access::{Access, AccessType, FsType, Mode};
use crate::domain::error::Error;
use crate::proto::csi::VolumeCapability;
use crate::proto::csi::volume_capability::access_mode::Mode as WireMode;
use crate::proto::csi::volume_capability::{AccessType as WireType, MountVolume};

/// Reads all capabilities of one volume, which has to serve every one of them.
///
/// # Errors
/// `Invalid` if there is none, one is not served, or they contradict each other.
pub(super) fn accesses(raw: &[VolumeCapability]) -> Result<Vec<Access>, Error> {
    if raw.is_empty() {
        return Err(Error::invalid("volume_capabilities is missing"));
    }
    let read = raw
        .iter()
        .enumerate()
        .map(|(at, capability)| access(&format!("volume_capabilities[{at}]"), capability))
        .collect::<Result<Vec<_>, _>>()?;
    let blocks = read
        .iter()
        .filter(|access| access.kind == AccessType::Block)
        .count();
    if blocks != 0 && blocks != read.len() {
        return Err(Error::invalid(
            "volume_capabilities ask for block and mount at once; a volume is either a raw device or a filesystem",
        ));
    }
    Ok(read)
}

/// Reads one capability.
///
/// # Errors
/// `Invalid`, naming the part of `field` that is missing or not served.
pub(super) fn access(field: &str, raw: &VolumeCapability) -> Result<Access, Error> {
    let mode = raw
        .access_mode
        .ok_or_else(|| Error::invalid(format!("{field}.access_mode is missing")))?;
    let mode = mode_of(field, mode.mode)?;
    let kind = match &raw.access_type {
        None => {
            return Err(Error::invalid(format!(
                "{field}.access_type is missing: it must be block or mount"
            )));
        }
        Some(WireType::Block(_)) => AccessType::Block,
        Some(WireType::Mount(mount)) => mount_of(field, mount)?,
    };
    Access::new(mode, kind).map_err(|error| error.while_doing(field))
}

fn mode_of(field: &str, raw: i32) -> Result<Mode, Error> {
    let refused = |name: &str, why: &str| {
        Err(Error::invalid(format!(
            "{field}.access_mode {name} is not supported: {why}"
        )))
    };
    let Ok(mode) = WireMode::try_from(raw) else {
        return refused(&raw.to_string(), "it is not in CSI 1.12");
    };
    let name = mode.as_str_name();
    match mode {
        WireMode::SingleNodeWriter => Ok(Mode::SingleNodeWriter),
        WireMode::SingleNodeReaderOnly => Ok(Mode::SingleNodeReaderOnly),
        WireMode::SingleNodeSingleWriter => Ok(Mode::SingleNodeSingleWriter),
        WireMode::SingleNodeMultiWriter => Ok(Mode::SingleNodeMultiWriter),
        WireMode::MultiNodeMultiWriter => Ok(Mode::MultiNodeMultiWriter),
        WireMode::Unknown => refused(name, "the request has to choose a mode"),
        // Nothing on the RDS can let one node write and hold the others to reading.
        WireMode::MultiNodeReaderOnly => refused(name, "the RDS cannot export read-only"),
        WireMode::MultiNodeSingleWriter => {
            refused(name, "the RDS cannot tell a writer from readers")
        }
    }
}

/// Mount flags are the node's business, and may hold secrets: they are not even looked at.
fn mount_of(field: &str, mount: &MountVolume) -> Result<AccessType, Error> {
    if !mount.volume_mount_group.is_empty() {
        return Err(Error::invalid(format!(
            "{field}.mount.volume_mount_group is not supported: this driver does not offer VOLUME_MOUNT_GROUP; kubelet applies fsGroup itself"
        )));
    }
    let fs_type = FsType::from_request(&mount.fs_type)
        .map_err(|error| error.while_doing(&format!("{field}.mount.fs_type")))?;
    Ok(AccessType::Mount { fs_type })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Kind;
    use crate::proto::csi::volume_capability::{AccessMode, BlockVolume};

    fn capability(mode: i32, kind: Option<WireType>) -> VolumeCapability {
        VolumeCapability {
            access_mode: Some(AccessMode { mode }),
            access_type: kind,
        }
    }

    fn block() -> WireType {
        WireType::Block(BlockVolume {})
    }

    fn mount(fs_type: &str) -> WireType {
        WireType::Mount(MountVolume {
            fs_type: fs_type.to_owned(),
            ..Default::default()
        })
    }

    fn refused(raw: &[VolumeCapability], names: &str) {
        let error = accesses(raw).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert!(error.context().contains(names), "{names}: {error}");
    }

    #[test]
    fn each_mode_is_served_or_refused_by_its_name() {
        let rows: [(i32, Result<Mode, &str>); 10] = [
            (0, Err("UNKNOWN")),
            (1, Ok(Mode::SingleNodeWriter)),
            (2, Ok(Mode::SingleNodeReaderOnly)),
            (3, Err("MULTI_NODE_READER_ONLY")),
            (4, Err("MULTI_NODE_SINGLE_WRITER")),
            (5, Ok(Mode::MultiNodeMultiWriter)),
            (6, Ok(Mode::SingleNodeSingleWriter)),
            (7, Ok(Mode::SingleNodeMultiWriter)),
            (8, Err("8")),
            (-1, Err("-1")),
        ];
        for (raw, expected) in rows {
            let raw = [capability(raw, Some(block()))];
            match expected {
                Ok(mode) => assert_eq!(accesses(&raw).unwrap()[0].mode, mode),
                Err(name) => refused(&raw, name),
            }
        }
    }

    #[test]
    fn every_filesystem_is_made_or_refused_by_its_name() {
        for (raw, expected) in [
            ("", FsType::Ext4),
            ("ext4", FsType::Ext4),
            ("ext3", FsType::Ext3),
            ("xfs", FsType::Xfs),
        ] {
            let read = accesses(&[capability(1, Some(mount(raw)))]).unwrap();
            assert_eq!(read[0].fs_type(), expected, "{raw}");
        }
        for bad in ["btrfs", "EXT4", "ext4;reboot", "größe"] {
            refused(&[capability(1, Some(mount(bad)))], bad);
        }
    }

    #[test]
    fn what_is_missing_or_contradictory_is_named_with_its_place() {
        let good = || capability(1, Some(mount("ext4")));
        let no_mode = VolumeCapability {
            access_mode: None,
            ..good()
        };
        let group = WireType::Mount(MountVolume {
            volume_mount_group: "1000".to_owned(),
            ..Default::default()
        });
        refused(&[], "volume_capabilities is missing");
        refused(&[good(), no_mode], "volume_capabilities[1].access_mode");
        refused(&[capability(1, None)], "volume_capabilities[0].access_type");
        refused(&[capability(1, Some(group))], "volume_mount_group");
        refused(&[capability(5, Some(mount("")))], "volumeMode: Block");
        refused(&[good(), capability(1, Some(block()))], "block and mount");
    }

    #[test]
    fn mount_flags_are_accepted_unseen() {
        let flags = WireType::Mount(MountVolume {
            mount_flags: vec!["password=hunter2".to_owned(), "\0".to_owned()],
            ..Default::default()
        });
        let read = accesses(&[capability(1, Some(flags))]).unwrap();
        assert!(!format!("{read:?}").contains("hunter2"));
    }
}
