//! What kinds of access are served: CSI capabilities, reduced to what this driver tells apart.

use crate::domain::error::Error;

/// How a volume is presented.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessType {
    /// A raw block device.
    Block,
    /// A filesystem of this type.
    Mount {
        /// What to format and mount.
        fs_type: FsType,
    },
}

/// The filesystems that the node plugin can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FsType {
    /// ext3.
    Ext3,
    /// ext4, also what a request without a type gets.
    Ext4,
    /// XFS.
    Xfs,
}

/// CSI access modes (`VolumeCapability.AccessMode.Mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// ReadWriteOnce without the single-writer capabilities.
    SingleNodeWriter,
    /// Read only, one node.
    SingleNodeReaderOnly,
    /// ReadWriteOncePod.
    SingleNodeSingleWriter,
    /// ReadWriteOnce.
    SingleNodeMultiWriter,
    /// ReadWriteMany; raw block only.
    MultiNodeMultiWriter,
}

/// One capability that this driver serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    /// Who may use it at once.
    pub mode: Mode,
    /// How it is presented.
    pub kind: AccessType,
}

impl FsType {
    /// Reads the type of a mount capability; empty is the default.
    ///
    /// # Errors
    /// `Invalid` for a filesystem that the node plugin cannot make.
    pub fn from_request(raw: &str) -> Result<Self, Error> {
        match raw {
            "" | "ext4" => Ok(Self::Ext4),
            "ext3" => Ok(Self::Ext3),
            "xfs" => Ok(Self::Xfs),
            other => Err(Error::invalid(format!(
                "filesystem {other:?} is not supported; use ext4, xfs or ext3 (StorageClass parameter csi.storage.k8s.io/fstype)"
            ))),
        }
    }

    /// The word in contexts and for `mkfs`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

impl Access {
    /// Puts a mode and a kind together.
    ///
    /// # Errors
    /// `Invalid` for a filesystem on several nodes: it would be corrupted by its second mount.
    pub fn new(mode: Mode, kind: AccessType) -> Result<Self, Error> {
        if mode == Mode::MultiNodeMultiWriter && kind != AccessType::Block {
            return Err(Error::invalid(
                "a filesystem volume cannot be written by several nodes: two mounts would corrupt it; use volumeMode: Block for ReadWriteMany",
            ));
        }
        Ok(Self { mode, kind })
    }

    /// `fs_type` of a publish_context; raw block has none, and ext4 keeps the key meaningful for
    /// readers that expect it.
    pub fn fs_type(&self) -> FsType {
        match self.kind {
            AccessType::Mount { fs_type } => fs_type,
            AccessType::Block => FsType::Ext4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_raw_block_may_be_written_by_several_nodes() {
        let mount = || AccessType::Mount {
            fs_type: FsType::Ext4,
        };
        assert!(Access::new(Mode::MultiNodeMultiWriter, mount()).is_err());
        assert!(Access::new(Mode::MultiNodeMultiWriter, AccessType::Block).is_ok());
        assert!(Access::new(Mode::SingleNodeMultiWriter, mount()).is_ok());
    }

    #[test]
    fn filesystems_that_cannot_be_made_are_refused_at_create() {
        for (raw, expected) in [
            ("", "ext4"),
            ("ext4", "ext4"),
            ("ext3", "ext3"),
            ("xfs", "xfs"),
        ] {
            assert_eq!(FsType::from_request(raw).unwrap().as_str(), expected);
        }
        for bad in ["btrfs", "EXT4", "ext4 ", "vfat"] {
            assert!(FsType::from_request(bad).is_err(), "{bad}");
        }
    }
}
