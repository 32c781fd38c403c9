//! `/disk/btrfs/subvolume`: directories that can be cloned at once.

use crate::sim::commands::add::host;
use crate::sim::commands::{Call, Reply, items};
use crate::sim::device::Device;
use crate::sim::lang::grammar::Menu;
use crate::sim::state::file::{FileKind, Subvolume};
use crate::sim::texts::Failure;
use crate::sim::value::Value;

/// Makes an empty subvolume, or a clone of `parent` with the files it has at this moment.
pub(super) fn add(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    let text = |name| call.argument(name).map(ToString::to_string);
    let fs = text("fs").ok_or(Failure::Missing("fs"))?;
    let name = text("name").ok_or(Failure::Missing("name"))?;
    let parent = text("parent").unwrap_or_default();
    let read_only = call
        .argument("read-only")
        .and_then(Value::truth)
        .unwrap_or(false);
    let pool = device.state.pool(&fs).and_then(|disk| disk.pool.as_ref());
    if pool
        .ok_or_else(|| Failure::NoMatchingValue("fs".to_owned()))?
        .fs
        != "btrfs"
    {
        return Err(Failure::NotBtrfs);
    }
    let known = |name: &str| {
        device
            .state
            .subvolumes
            .iter()
            .any(|s| s.fs == fs && s.name == name)
    };
    if !parent.is_empty() && !known(&parent) {
        return Err(Failure::NoMatchingValue("parent".to_owned()));
    }
    let (directory, now) = (format!("{fs}/{name}"), device.unix_now());
    if known(&name) || device.state.file(&directory).is_some() {
        return Err(Failure::FileExists);
    }
    device.backing.make_directory(&directory).map_err(host)?;
    device
        .state
        .add_directory(&directory, FileKind::Directory, now);
    if !parent.is_empty() {
        clone_files(
            device,
            &format!("{fs}/{parent}/"),
            &format!("{directory}/"),
            now,
        )?;
    }
    let id = device.state.next_id();
    device.state.subvolumes.push(Subvolume {
        id,
        fs,
        name,
        parent,
        read_only,
    });
    device.generation += 1;
    Ok(Reply::value(Value::Id(id)))
}

fn clone_files(device: &mut Device, from: &str, to: &str, now: u64) -> Result<(), Failure> {
    let files: Vec<(String, u64, FileKind)> = device
        .state
        .files_from(from)
        .map(|(name, file)| (name.to_owned(), file.size, file.kind))
        .collect();
    for (source, size, kind) in files {
        let target = format!("{to}{}", source.trim_start_matches(from));
        if kind == FileKind::File {
            // Shared extents take no space of their own.
            device.state.add_file(&target, size, true, now)?;
            device.backing.resize(&target, size).map_err(host)?;
            device.state.copy_blocks(&source, &target, now);
            device.backing.copy(&source, &target).map_err(host)?;
        } else {
            device.backing.make_directory(&target).map_err(host)?;
            device
                .state
                .add_directory(&target, FileKind::Directory, now);
        }
    }
    Ok(())
}

/// Removes a subvolume with all in it.
pub(super) fn remove(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    for id in items(device, Menu::Subvolume, call.numbers()?)? {
        let at = device
            .state
            .subvolumes
            .iter()
            .position(|subvolume| subvolume.id == id);
        let subvolume = device
            .state
            .subvolumes
            .remove(at.ok_or(Failure::NoSuchItem)?);
        let directory = format!("{}/{}", subvolume.fs, subvolume.name);
        device.state.remove_file(&directory);
        device.backing.remove(&directory, true).map_err(host)?;
        device.generation += 1;
    }
    Ok(Reply::silent())
}
