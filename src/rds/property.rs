//! The RouterOS property names the driver writes, compares and reads, each spelled once.

/// Kind of a disk entry or of a file.
pub(super) const TYPE: &str = "type";
/// Stable name of a disk entry.
pub(super) const SLOT: &str = "slot";
/// Backing file of a `type=file` disk, with a leading slash when printed.
pub(super) const FILE_PATH: &str = "file-path";
/// Requested size of the backing file; printed rounded, so it is written and never read.
pub(super) const FILE_SIZE: &str = "file-size";
/// Exact size in bytes.
pub(super) const SIZE: &str = "size";
/// Free bytes of a mounted filesystem.
pub(super) const FREE: &str = "free";
/// Where the device mounted the filesystem, without a leading slash.
pub(super) const MOUNT_POINT: &str = "mount-point";
/// Whether the device may mount what it finds inside the volume. Its default is yes.
pub(super) const MOUNT_FILESYSTEM: &str = "mount-filesystem";
/// Filesystem found on the disk, `-` for none.
pub(super) const FILESYSTEM: &str = "fs";
/// Health of a RAID.
pub(super) const STATE: &str = "state";
/// Set when the filesystem is mounted: a flag in text form, a key in JSON.
pub(super) const MOUNTED: &str = "mounted";
/// Set when the entry is switched off: a flag in text form, a key in JSON.
pub(super) const DISABLED: &str = "disabled";
/// Operator's remark.
pub(super) const COMMENT: &str = "comment";
/// Whether the disk is offered over NVMe/TCP.
pub(super) const EXPORT: &str = "nvme-tcp-export";
/// TCP port of the export.
pub(super) const PORT: &str = "nvme-tcp-server-port";
/// Subsystem NQN of the export.
pub(super) const SUBSYSTEM: &str = "nvme-tcp-server-nqn";
/// Host NQN that may connect; empty admits every host.
pub(super) const HOST: &str = "nvme-tcp-server-allow-host-name";
/// Name of a file, printed without a leading slash.
pub(super) const NAME: &str = "name";
/// Text of a small text file, which the device prints inside the listing.
pub(super) const CONTENTS: &str = "contents";
