//! `/disk/add`.

use crate::sim::commands::assign::{assign, bytes};
use crate::sim::commands::disk::{check_export, check_slot};
use crate::sim::commands::{Call, Reply, items};
use crate::sim::device::Device;
use crate::sim::lang::grammar::Menu;
use crate::sim::state::disk::Disk;
use crate::sim::state::file::{FileKind, canonical};
use crate::sim::texts::Failure;
use crate::sim::value::{ItemId, Value};

/// Parameters that are not plain properties.
const SPECIAL: [&str; 5] = ["type", "slot", "file-path", "file-size", "copy-from"];

/// Adds a file disk: the entry, and its file unless that exists. Prints nothing; inside `[…]` it
/// gives the id.
pub(super) fn add(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    let source = source(device, call)?;
    match call.argument("type").map(ToString::to_string).as_deref() {
        Some("file") => {}
        None if source.is_some() => {}
        None => return Err(Failure::Missing("type")),
        Some(_) => return Err(Failure::NoMatchingValue("type".to_owned())),
    }
    let path = call
        .argument("file-path")
        .ok_or(Failure::Missing("file-path"))?
        .to_string();
    let name = canonical(&path).ok_or_else(|| Failure::InvalidValue("file-path".to_owned()))?;
    let slot = call
        .argument("slot")
        .map_or_else(|| default_slot(&name), ToString::to_string);
    check_slot(device, &slot, None)?;
    if device.state.user_of(&name).is_some() {
        return Err(Failure::DuplicatePath);
    }
    let mut disk = entry(
        call,
        source.as_ref().map(|(_, disk)| disk),
        slot,
        format!("/{name}"),
    )?;
    check_export(device, &disk, None)?;
    disk.size = backing_file(
        device,
        call,
        &name,
        source.as_ref().map(|(_, disk)| disk.size),
    )?;
    if let Some((_, source)) = source.filter(|_| device.personality.copy_from_copies_data) {
        let now = device.unix_now();
        device.state.copy_blocks(source.backing(), &name, now);
        device.backing.copy(source.backing(), &name).map_err(host)?;
    }
    device.generation += 1;
    Ok(Reply::value(Value::Id(device.state.add_disk(disk))))
}

/// The entry `copy-from` names.
fn source(device: &Device, call: &Call) -> Result<Option<(ItemId, Disk)>, Failure> {
    let Some(from) = call.argument("copy-from") else {
        return Ok(None);
    };
    let ids = items(device, Menu::Disk, from)?;
    let [id] = ids.as_slice() else {
        return Err(Failure::NoSuchItem);
    };
    let disk = device.state.disk(*id).ok_or(Failure::NoSuchItem)?;
    Ok(Some((*id, disk.clone())))
}

/// The new entry without its size. `copy-from` gives every property that is not named, the export
/// and its names included; without it the subsystem is named after the slot.
fn entry(call: &Call, source: Option<&Disk>, slot: String, path: String) -> Result<Disk, Failure> {
    let mut disk = match source {
        Some(source) => Disk {
            slot,
            path: Some(path),
            pool: None,
            ..source.clone()
        },
        None => Disk::new(slot, Some(path), 0),
    };
    for (name, value) in &call.named {
        if !assign(&mut disk, name, value)? && !SPECIAL.contains(&name.as_str()) {
            return Err(Failure::InvalidValue(name.clone()));
        }
    }
    Ok(disk)
}

/// Makes the backing file or takes over an existing one; returns its size.
fn backing_file(
    device: &mut Device,
    call: &Call,
    name: &str,
    inherited: Option<u64>,
) -> Result<u64, Failure> {
    let asked = match call.argument("file-size") {
        Some(value) => {
            let size = bytes(value).filter(|size| *size > 0);
            Some(size.ok_or_else(|| Failure::InvalidValue("file-size".to_owned()))?)
        }
        None => None,
    };
    if device.faults.full {
        return Err(Failure::NoSpace);
    }
    let (sparse, now) = (device.personality.sparse, device.unix_now());
    if let Some(file) = device.state.file(name) {
        if file.kind != FileKind::File || !device.personality.attaches_existing_file {
            return Err(Failure::FileExists);
        }
        let (present, wanted) = (file.size, asked.unwrap_or(file.size));
        if wanted < present {
            return Err(Failure::Shrink);
        }
        device.state.resize_file(name, wanted, sparse, now)?;
        device.backing.resize(name, wanted).map_err(host)?;
        return Ok(wanted);
    }
    let size = asked.or(inherited).ok_or(Failure::Missing("file-size"))?;
    device.state.add_file(name, size, sparse, now)?;
    if let Err(error) = device.backing.resize(name, size) {
        device.state.remove_file(name);
        return Err(host(error));
    }
    Ok(size)
}

/// `file-nvme9-part1-swapfile` for `/nvme9-part1/swapfile`.
fn default_slot(name: &str) -> String {
    format!("file-{}", name.replace('/', "-"))
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
pub(super) fn host(error: std::io::Error) -> Failure {
    Failure::Host(error.to_string())
}
