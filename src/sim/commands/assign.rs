//! One property of a disk entry, set from an argument.

use crate::sim::lang::grammar::ALLOW_HOST_NAME;
use crate::sim::state::disk::Disk;
use crate::sim::texts::Failure;
use crate::sim::value::Value;

/// Longest NVMe qualified name.
const NQN_MAX: usize = 223;

/// Sets a property that has no effect outside the entry. `Ok(false)`: not such a property.
pub(super) fn assign(disk: &mut Disk, name: &str, value: &Value) -> Result<bool, Failure> {
    let yes = || value.truth().filter(|_| is_boolean(value));
    let yes = || yes().ok_or_else(|| Failure::NoMatchingValue(name.to_owned()));
    let invalid = || Failure::InvalidValue(name.to_owned());
    let nqn = || {
        Some(value.to_string())
            .filter(|text| text.len() <= NQN_MAX)
            .ok_or_else(invalid)
    };
    match name {
        "comment" => disk.comment = value.to_string(),
        "disabled" => disk.disabled = yes()?,
        "mount-filesystem" => disk.mount_filesystem = yes()?,
        "mount-read-only" => disk.mount_read_only = yes()?,
        "compress" => disk.compress = yes()?,
        "swap" => disk.swap = yes()?,
        "smb-sharing" => disk.smb_sharing = yes()?,
        "nfs-sharing" => disk.nfs_sharing = yes()?,
        "media-sharing" => disk.media_sharing = yes()?,
        "iscsi-export" => disk.iscsi_export = yes()?,
        "file-offset" => disk.offset = bytes(value).ok_or_else(invalid)?,
        "nvme-tcp-export" => disk.export = yes()?,
        "nvme-tcp-server-port" => {
            let port = bytes(value).and_then(|port| u16::try_from(port).ok());
            disk.port = port.filter(|port| *port > 0).ok_or_else(invalid)?;
        }
        "nvme-tcp-server-nqn" => disk.subsystem_nqn = nqn()?,
        ALLOW_HOST_NAME => disk.allow_host_name = nqn()?,
        "nvme-tcp-server-password" => disk.password = value.to_string(),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A size: whole bytes, or a number with a binary suffix.
pub(super) fn bytes(value: &Value) -> Option<u64> {
    u64::try_from(value.number()?).ok()
}

fn is_boolean(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Text(_))
}
