//! Between the domain's values and those of RouterOS lines.

use crate::domain::error::Error;
use crate::domain::file::BackingFile;
use crate::domain::grant::FencingMode;
use crate::domain::id::VolumeId;
use crate::domain::names::Names;
use crate::domain::volume::{Entry, Remains};
use crate::rds::answer::Answer;
use crate::rds::backend::failure;
use crate::rds::entry::{DiskEntry, DiskKind};
use crate::rds::line::Line;
use crate::rds::names::Names as Fence;
use crate::rds::value::{self, DeviceName, Slot};

/// The port of an entry that names none (RouterOS listens on 4420 unless told otherwise).
const DEFAULT_PORT: u16 = 4420;

pub(super) fn slot(id: &VolumeId) -> Result<Slot, Error> {
    Slot::new(id.as_str()).map_err(failure::unsendable)
}

pub(super) fn file(file: &BackingFile) -> Result<value::BackingFile, Error> {
    value::BackingFile::new(&file.path()).map_err(failure::unsendable)
}

pub(super) fn name(name: Option<&str>) -> Result<Option<DeviceName>, Error> {
    name.map(DeviceName::new)
        .transpose()
        .map_err(failure::unsendable)
}

/// The names that this mode compares and changes.
pub(super) fn names(mode: FencingMode, names: &Names) -> Result<Fence, Error> {
    let subsystem = name(names.subsystem.as_deref())?;
    let host = name(names.host.as_deref())?;
    match (mode, subsystem, host) {
        (FencingMode::Pair, Some(subsystem), Some(host)) => Ok(Fence::Pair { subsystem, host }),
        (FencingMode::HostNqn, _, Some(host)) => Ok(Fence::Host(host)),
        (FencingMode::SubsystemNqn, Some(subsystem), _) => Ok(Fence::Subsystem(subsystem)),
        (mode, _, _) => Err(Error::bug(format!(
            "names {names:?} cannot be written in fencing mode {}",
            mode.as_str()
        ))),
    }
}

/// The entry that read `index` of `line` found; entries whose slot is no volume id are not asked for.
pub(super) fn entry(line: &Line, answer: &Answer, index: usize) -> Result<Option<Entry>, Error> {
    let disk = answer
        .disk(index)
        .map_err(|error| failure::unreadable(line, error))?;
    Ok(disk.and_then(to_entry))
}

pub(super) fn to_entry(disk: DiskEntry) -> Option<Entry> {
    Some(Entry {
        id: disk.slot.parse().ok()?,
        file_backed: disk.kind == DiskKind::File,
        path: disk.file_path.unwrap_or_default(),
        size: disk.size,
        exported: disk.exported,
        port: disk.port.unwrap_or(DEFAULT_PORT),
        names: Names {
            subsystem: disk.subsystem_nqn,
            host: disk.host_nqn,
        },
        disabled: disk.disabled,
    })
}

/// What the two last reads of `line`, entry and files, found of a volume.
pub(super) fn remains(line: &Line, answer: &Answer, id: &VolumeId) -> Result<Remains, Error> {
    let files = answer
        .files(1)
        .map_err(|error| failure::unreadable(line, error))?;
    let files = files
        .iter()
        .filter(|file| !file.is_dir)
        .filter_map(|file| BackingFile::read(&file.path))
        .filter(|file| &file.volume == id)
        .collect();
    Ok(Remains {
        entry: entry(line, answer, 0)?,
        files,
    })
}
