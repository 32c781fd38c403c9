//! `/file/add` and `/file/remove`.

use crate::sim::commands::add::host;
use crate::sim::commands::{Call, Reply, items};
use crate::sim::device::Device;
use crate::sim::lang::grammar::Menu;
use crate::sim::state::file::{FileKind, canonical, parent};
use crate::sim::texts::Failure;
use crate::sim::value::Value;

/// Makes a directory or an empty file.
pub(super) fn add(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    let path = call
        .argument("name")
        .ok_or(Failure::Missing("name"))?
        .to_string();
    let name = canonical(&path).ok_or_else(|| Failure::InvalidValue("name".to_owned()))?;
    if device.state.file(&name).is_some() {
        return Err(Failure::FileExists);
    }
    let now = device.unix_now();
    match call.argument("type").map(ToString::to_string).as_deref() {
        Some("directory") => {
            let above = parent(&name).and_then(|parent| device.state.file(parent));
            if above.is_none_or(|above| above.kind == FileKind::File) {
                return Err(Failure::NoDirectory);
            }
            device.backing.make_directory(&name).map_err(host)?;
            device.state.add_directory(&name, FileKind::Directory, now);
        }
        Some("file") | None => {
            device.state.add_file(&name, 0, true, now)?;
            device.backing.resize(&name, 0).map_err(host)?;
        }
        Some(_) => return Err(Failure::NoMatchingValue("type".to_owned())),
    }
    device.generation += 1;
    let id = device
        .state
        .file(&name)
        .map_or(Value::Nil, |file| Value::Id(file.id));
    Ok(Reply::value(id))
}

/// Removes files and directories. A file that a disk entry uses goes like any other, unless the
/// device refuses it.
pub(super) fn remove(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    for id in items(device, Menu::File, call.numbers()?)? {
        let name = device
            .state
            .file_name(id)
            .ok_or(Failure::NoSuchItem)?
            .to_owned();
        let used = device.state.user_of(&name).is_some();
        if used && device.personality.refuses_remove_of_used_file {
            return Err(Failure::FileInUse);
        }
        let kind = device.state.file(&name).map(|file| file.kind);
        if kind == Some(FileKind::Root) {
            return Err(Failure::FileInUse);
        }
        device
            .backing
            .remove(&name, kind == Some(FileKind::Directory))
            .map_err(host)?;
        device.state.remove_file(&name);
        device.generation += 1;
    }
    Ok(Reply::silent())
}
