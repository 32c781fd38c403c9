//! One `/disk` entry.

use serde::{Deserialize, Serialize};

use crate::sim::value::ItemId;

/// The port every export listens on unless told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 4420;

/// A disk entry. Fields are those RouterOS lists for file disks; a pool has the rest in `pool`.
#[derive(Clone, Serialize, Deserialize)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an independent RouterOS property"
)]
pub(crate) struct Disk {
    pub(crate) slot: String,
    pub(crate) comment: String,
    pub(crate) disabled: bool,
    /// With a leading `/`, as the device shows it; `None` for a disk that is not a file.
    pub(crate) path: Option<String>,
    /// Exact bytes.
    pub(crate) size: u64,
    pub(crate) offset: u64,
    pub(crate) mount_filesystem: bool,
    pub(crate) mount_read_only: bool,
    pub(crate) compress: bool,
    pub(crate) export: bool,
    pub(crate) port: u16,
    pub(crate) subsystem_nqn: String,
    pub(crate) allow_host_name: String,
    /// Accepted, never shown by any form of print.
    pub(crate) password: String,
    pub(crate) iscsi_export: bool,
    pub(crate) nfs_sharing: bool,
    pub(crate) smb_sharing: bool,
    pub(crate) media_sharing: bool,
    pub(crate) swap: bool,
    pub(crate) pool: Option<Pool>,
}

/// What a RAID disk with a mounted file system has besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) mount_point: String,
    pub(crate) fs: String,
    /// Bytes that are used by things the simulator does not list.
    pub(crate) elsewhere: u64,
    /// Bytes allocated to the files on it.
    pub(crate) used: u64,
}

/// A disk entry as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskView {
    /// Internal id.
    pub id: ItemId,
    /// Slot.
    pub slot: String,
    /// Exact bytes.
    pub size: u64,
    /// Backing file with its leading `/`.
    pub file_path: Option<String>,
    /// `nvme-tcp-export`.
    pub exported: bool,
    /// `nvme-tcp-server-port`.
    pub port: u16,
    /// `nvme-tcp-server-nqn`.
    pub subsystem_nqn: String,
    /// `nvme-tcp-server-allow-host-name`.
    pub allow_host_name: String,
    /// `comment`.
    pub comment: String,
}

// === impl Disk ===

impl Disk {
    /// An entry with the defaults RouterOS gives: mounted, not exported, named after its slot.
    pub(crate) fn new(slot: String, path: Option<String>, size: u64) -> Self {
        Self {
            subsystem_nqn: slot.clone(),
            slot,
            comment: String::new(),
            disabled: false,
            path,
            size,
            offset: 0,
            mount_filesystem: true,
            mount_read_only: false,
            compress: false,
            export: false,
            port: DEFAULT_PORT,
            allow_host_name: String::new(),
            password: String::new(),
            iscsi_export: false,
            nfs_sharing: false,
            smb_sharing: false,
            media_sharing: false,
            swap: false,
            pool: None,
        }
    }

    /// Name of the backing file as `/file` knows it; the slot of a disk without one.
    pub(crate) fn backing(&self) -> &str {
        self.path
            .as_deref()
            .map_or(self.slot.as_str(), |path| path.trim_start_matches('/'))
    }

    /// Free bytes, for a pool.
    pub(crate) fn free(&self) -> Option<u64> {
        let pool = self.pool.as_ref()?;
        Some(
            self.size
                .saturating_sub(pool.elsewhere)
                .saturating_sub(pool.used),
        )
    }

    /// Whether a host could connect at all.
    pub(crate) fn is_served(&self) -> bool {
        self.export && !self.disabled
    }

    pub(crate) fn view(&self, id: ItemId) -> DiskView {
        DiskView {
            id,
            slot: self.slot.clone(),
            size: self.size,
            file_path: self.path.clone(),
            exported: self.export,
            port: self.port,
            subsystem_nqn: self.subsystem_nqn.clone(),
            allow_host_name: self.allow_host_name.clone(),
            comment: self.comment.clone(),
        }
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password stays out of every log.
        f.debug_struct("Disk")
            .field("slot", &self.slot)
            .field("path", &self.path)
            .field("export", &self.export)
            .field("subsystem_nqn", &self.subsystem_nqn)
            .field("allow_host_name", &self.allow_host_name)
            .finish_non_exhaustive()
    }
}
