//! `/disk/set`, `/disk/remove`, `/disk/enable` and `/disk/disable`.

use crate::sim::commands::add::host;
use crate::sim::commands::assign::{assign, bytes};
use crate::sim::commands::{Call, Reply, items};
use crate::sim::device::Device;
use crate::sim::lang::grammar::Menu;
use crate::sim::state::disk::Disk;
use crate::sim::texts::Failure;
use crate::sim::value::{ItemId, Value};

/// Changes every item in turn. The first that fails ends it; those before stay changed.
pub(super) fn set(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    for id in items(device, Menu::Disk, call.numbers()?)? {
        let mut disk = device.state.disk(id).ok_or(Failure::NoSuchItem)?.clone();
        for (name, value) in call.named.iter().filter(|(name, _)| name != "numbers") {
            change(device, id, &mut disk, name, value)?;
        }
        check_export(device, &disk, Some(id))?;
        resize(device, &disk)?;
        put(device, id, disk);
    }
    Ok(Reply::silent())
}

fn change(
    device: &Device,
    id: ItemId,
    disk: &mut Disk,
    name: &str,
    value: &Value,
) -> Result<(), Failure> {
    match name {
        "slot" => {
            let slot = value.to_string();
            check_slot(device, &slot, Some(id))?;
            disk.slot = slot;
        }
        "file-size" => {
            let invalid = || Failure::InvalidValue(name.to_owned());
            let size = bytes(value).filter(|size| *size > 0 && disk.path.is_some());
            let size = size.ok_or_else(invalid)?;
            if size < disk.size && !device.personality.shrinks {
                return Err(Failure::Shrink);
            }
            disk.size = size;
        }
        // A device of this kind takes the new name without a word and keeps the old one.
        "nvme-tcp-server-nqn" if device.personality.fixed_subsystem_nqn => {}
        _ => {
            if !assign(disk, name, value)? {
                return Err(Failure::InvalidValue(name.to_owned()));
            }
        }
    }
    Ok(())
}

/// Brings the backing file to the size of the changed entry.
fn resize(device: &mut Device, disk: &Disk) -> Result<(), Failure> {
    let present = device.state.file(disk.backing()).map(|file| file.size);
    let Some(present) = present.filter(|present| *present != disk.size) else {
        return Ok(());
    };
    if disk.size > present && device.faults.full {
        return Err(Failure::NoSpace);
    }
    let (sparse, now) = (device.personality.sparse, device.unix_now());
    device
        .state
        .resize_file(disk.backing(), disk.size, sparse, now)?;
    device
        .backing
        .resize(disk.backing(), disk.size)
        .map_err(host)
}

/// Puts the changed entry in place and ends the sessions that this ends.
fn put(device: &mut Device, id: ItemId, disk: Disk) {
    let before = device.state.disk(id).cloned();
    device.state.put_disk(id, disk);
    device.generation += 1;
    if let Some(before) = before {
        device.follow_change(id, &before);
    }
}

/// Removes entries. The backing file stays, and so does the space it takes.
pub(super) fn remove(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    for id in items(device, Menu::Disk, call.numbers()?)? {
        let disk = device.state.disk(id).ok_or(Failure::NoSuchItem)?;
        let connected = !device.target.of_disk(id, disk.backing()).is_empty();
        let refuses = connected && device.personality.refuses_remove_while_connected;
        if disk.pool.is_some() || refuses {
            return Err(Failure::InUse);
        }
        if let Some(before) = device.state.remove_disk(id) {
            device.generation += 1;
            device.follow_change(id, &before);
        }
    }
    Ok(Reply::silent())
}

/// A disabled entry is not served.
pub(super) fn disable(device: &mut Device, call: &Call, off: bool) -> Result<Reply, Failure> {
    for id in items(device, Menu::Disk, call.numbers()?)? {
        let mut disk = device.state.disk(id).ok_or(Failure::NoSuchItem)?.clone();
        disk.disabled = off;
        check_export(device, &disk, Some(id))?;
        put(device, id, disk);
    }
    Ok(Reply::silent())
}

/// Refuses a slot that is empty, too long for this version, or another entry's.
pub(super) fn check_slot(device: &Device, slot: &str, own: Option<ItemId>) -> Result<(), Failure> {
    if slot.is_empty() {
        return Err(Failure::InvalidValue("slot".to_owned()));
    }
    if let Some(limit) = device
        .personality
        .slot_limit
        .filter(|limit| slot.len() > *limit)
    {
        return Err(Failure::SlotTooLong(limit));
    }
    match device.state.slot(slot) {
        Some(other) if Some(other) != own => Err(Failure::DuplicateSlot),
        _ => Ok(()),
    }
}

/// Refuses a second export of one subsystem name. Entries that are not exported may share names.
pub(super) fn check_export(
    device: &Device,
    disk: &Disk,
    own: Option<ItemId>,
) -> Result<(), Failure> {
    match device.state.export(&disk.subsystem_nqn) {
        Some(other) if disk.is_served() && Some(other) != own => Err(Failure::DuplicateNqn),
        _ => Ok(()),
    }
}
