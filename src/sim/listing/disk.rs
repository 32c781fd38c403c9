//! `/disk` rows: fields in the order recorded listings have.

use crate::sim::lang::grammar::ALLOW_HOST_NAME;
use crate::sim::listing::{Record, Shown};
use crate::sim::personality::Personality;
use crate::sim::state::disk::{Disk, Pool};
use crate::sim::value::{ItemId, Value};

/// Sectors of every simulated disk.
const SECTOR_SIZE: u64 = 512;

/// Bytes per inode of an XFS pool, to give its listing plausible counts.
const BYTES_PER_INODE: u64 = 10_240;

/// One property for a condition, without building the whole row for the usual ones.
pub(crate) fn property(id: ItemId, disk: &Disk, name: &str, personality: &Personality) -> Value {
    let mount = || {
        disk.pool
            .as_ref()
            .map_or("", |pool| pool.mount_point.as_str())
    };
    match name {
        "slot" => Value::from(disk.slot.as_str()),
        "nvme-tcp-export" => Value::Bool(disk.export),
        "nvme-tcp-server-nqn" => Value::from(disk.subsystem_nqn.as_str()),
        ALLOW_HOST_NAME => Value::from(disk.allow_host_name.as_str()),
        "nvme-tcp-server-port" => Value::from(u64::from(disk.port)),
        "size" => Value::from(disk.size),
        "mount-point" => Value::from(mount()),
        _ => record(id, disk, personality).property(name),
    }
}

/// The whole row.
pub(crate) fn record(id: ItemId, disk: &Disk, personality: &Personality) -> Record {
    let mut fields = Vec::with_capacity(40);
    let kind = if disk.pool.is_some() { "raid" } else { "file" };
    fields.push(("type", Shown::word(kind)));
    fields.push(("slot", Shown::quoted(&disk.slot)));
    fields.push(("slot-default", Shown::quoted("")));
    let parent = if personality.old_fields {
        Shown::word("none")
    } else {
        Shown::quoted("")
    };
    fields.push(("parent", parent));
    if let Some(pool) = &disk.pool {
        file_system(disk, pool, personality, &mut fields);
    } else {
        let model = disk.path.as_deref().unwrap_or_default();
        fields.push(("fs", Shown::word("-")));
        fields.push(("model", Shown::quoted(model)));
        fields.push(("size", Shown::Grouped(disk.size)));
    }
    fields.push(("mount-filesystem", Shown::YesNo(disk.mount_filesystem)));
    fields.push(("mount-read-only", Shown::YesNo(disk.mount_read_only)));
    fields.push(("compress", Shown::YesNo(disk.compress)));
    fields.push(("sector-size", Shown::Number(SECTOR_SIZE)));
    if disk.pool.is_some() {
        raid(personality, &mut fields);
    } else {
        fields.push(("raid-master", Shown::word("none")));
    }
    sharing(disk, personality, &mut fields);
    if let Some(path) = disk.path.as_ref().filter(|_| personality.rose_storage) {
        fields.push(("file-path", Shown::word(path)));
        fields.push(("file-size", Shown::Human(disk.size)));
        fields.push(("file-offset", Shown::Number(disk.offset)));
    }
    let mounted = disk.pool.is_some() && disk.mount_filesystem;
    let hidden = vec![
        ("block-device", true),
        ("disabled", disk.disabled),
        ("mounted", mounted),
    ];
    Record {
        id,
        flags: flags(disk, mounted),
        comment: disk.comment.clone(),
        fields,
        hidden,
    }
}

fn file_system(
    disk: &Disk,
    pool: &Pool,
    personality: &Personality,
    fields: &mut Vec<(&'static str, Shown)>,
) {
    let free = disk.free().unwrap_or_default();
    let uuid = if personality.old_fields {
        "uuid"
    } else {
        "fs-uuid"
    };
    fields.push(("fs-label", Shown::quoted(&pool.mount_point)));
    fields.push((uuid, Shown::quoted("5f0c2d7e-6a41-4f8b-9d35-1b7e8a90c264")));
    fields.push(("fs", Shown::word(&pool.fs)));
    fields.push(("model", Shown::quoted("RAID6 2-parity-disks")));
    fields.push(("size", Shown::Grouped(disk.size)));
    fields.push(("free", Shown::Grouped(free)));
    if pool.fs == "xfs" {
        fields.push(("total-inodes", Shown::Grouped(disk.size / BYTES_PER_INODE)));
        fields.push(("free-inodes", Shown::Grouped(free / BYTES_PER_INODE)));
    }
    let used = disk.size.saturating_sub(free);
    let percent = u128::from(used) * 100 / u128::from(disk.size.max(1));
    fields.push(("use", Shown::Percent(u64::try_from(percent).unwrap_or(100))));
    fields.push(("mount-point", Shown::quoted(&pool.mount_point)));
}

fn raid(personality: &Personality, fields: &mut Vec<(&'static str, Shown)>) {
    let state = if personality.old_fields {
        "raid-state"
    } else {
        "state"
    };
    fields.push(("raid-type", Shown::Number(6)));
    fields.push(("raid-device-count", Shown::Number(6)));
    fields.push(("raid-max-component-size", Shown::word("none")));
    fields.push(("raid-chunk-size", Shown::word("256K")));
    fields.push(("raid-master", Shown::word("none")));
    fields.push((state, Shown::quoted("clean")));
    fields.push((
        "raid-uuid",
        Shown::quoted("1c9a44e2-7be05d13-88f2c6a0-49d1e573"),
    ));
}

fn sharing(disk: &Disk, personality: &Personality, fields: &mut Vec<(&'static str, Shown)>) {
    if personality.rose_storage {
        fields.push(("nvme-tcp-export", Shown::YesNo(disk.export)));
        // Recorded RAID rows with the export off show none of its parameters.
        let shows = disk.pool.is_none() && personality.shows_unexported_names;
        if disk.export || shows {
            fields.push(("nvme-tcp-server-port", Shown::Number(disk.port.into())));
            fields.push(("nvme-tcp-server-nqn", Shown::quoted(&disk.subsystem_nqn)));
            if personality.allow_host_name {
                fields.push((ALLOW_HOST_NAME, Shown::quoted(&disk.allow_host_name)));
            }
        }
        fields.push(("iscsi-export", Shown::YesNo(disk.iscsi_export)));
        fields.push(("nfs-sharing", Shown::YesNo(disk.nfs_sharing)));
    }
    fields.push(("smb-sharing", Shown::YesNo(disk.smb_sharing)));
    fields.push(("media-sharing", Shown::YesNo(disk.media_sharing)));
    fields.push(("media-interface", Shown::word("none")));
    fields.push(("swap", Shown::YesNo(disk.swap)));
}

fn flags(disk: &Disk, mounted: bool) -> Vec<char> {
    let all = [
        ('X', disk.disabled),
        ('B', true),
        ('M', mounted),
        ('S', disk.swap),
        ('t', disk.export),
        ('i', disk.iscsi_export),
        ('s', disk.smb_sharing),
        ('n', disk.nfs_sharing),
        ('m', disk.media_sharing),
    ];
    all.iter()
        .filter(|(_, set)| *set)
        .map(|(letter, _)| *letter)
        .collect()
}
