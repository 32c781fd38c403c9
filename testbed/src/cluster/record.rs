//! What a cluster has on this machine, recorded so that it can be removed after us: by the next start, or
//! by `cargo run -p testbed -- clean`.
//!
//! Processes, mounts and network namespaces of a node go with its first process, and that goes with its
//! owner, also when the owner is killed. What is left then are a bridge, control groups and folders: the
//! record names them.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::cgroups::Cgroups;
use super::network;
use crate::error::Error;
use crate::tools::say;

/// Gone after a restart of the machine, as is everything that it speaks of.
const FOLDER: &str = "/run/rds-csi-testbed";

/// The id of a cluster, in the names of all that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) u16);

/// The record of a cluster.
#[derive(Debug)]
pub(super) struct Record {
    id: Id,
    content: Content,
}

#[derive(Debug, Deserialize, Serialize)]
struct Content {
    owner: u32,
    /// Clock ticks between the start of the machine and that of the owner: with the process id it names
    /// one process.
    owner_started: u64,
    folders: Vec<PathBuf>,
}

/// Nobody else starts or removes a cluster while this is held.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

// === impl Id ===

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

impl Id {
    /// The name of its bridge, and the beginning of the names of its other links: of the 15 letters
    /// that Linux allows it takes 7.
    pub(super) fn link(self) -> String {
        format!("rds{self}")
    }

    /// The name of its control groups.
    pub(super) fn group(self) -> String {
        format!("rds-csi-{self}")
    }

    fn file(self) -> PathBuf {
        Path::new(FOLDER).join(self.to_string())
    }
}

// === impl Lock ===

impl Lock {
    /// Waits for it: others hold it for a second.
    pub(super) fn take() -> Result<Self, Error> {
        fs::create_dir_all(FOLDER).map_err(Error::file("make", FOLDER))?;
        let path = Path::new(FOLDER).join("lock");
        let file = File::create(&path).map_err(Error::file("make", &path))?;
        let locked = flock(&file, FlockOperation::LockExclusive);
        locked.map_err(|error| Error::file("lock", path)(error.into()))?;
        Ok(Self { _file: file })
    }
}

// === impl Record ===

impl Record {
    /// A new one, of our own process.
    pub(super) fn make(_lock: &Lock) -> Result<Self, Error> {
        let owner = std::process::id();
        let owner_started = started(owner).unwrap_or_default();
        let record = loop {
            let record = Self {
                id: Id(rand::random()),
                content: Content {
                    owner,
                    owner_started,
                    folders: Vec::new(),
                },
            };
            if !record.id.file().exists() {
                break record;
            }
        };
        record.write()?;
        Ok(record)
    }

    /// The id that is in all names.
    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// A folder is to be removed with the rest, if we cannot do it ourselves.
    pub(super) fn own(&mut self, folder: &Path) -> Result<(), Error> {
        self.content.folders.push(folder.to_owned());
        self.write()
    }

    fn write(&self) -> Result<(), Error> {
        let path = self.id.file();
        let text = serde_json::to_string(&self.content).expect("paths of ours are UTF-8");
        // Whoever reads it sees all of it.
        let beside = path.with_extension("new");
        let written = File::create(&beside).and_then(|mut file| file.write_all(text.as_bytes()));
        let written = written.and_then(|()| fs::rename(&beside, &path));
        written.map_err(Error::file("write", path))
    }

    /// Removes what the cluster has on this machine, but for folders; then the record.
    pub(super) fn settle(&self) -> Result<(), Error> {
        Cgroups::detect()?.remove(self.id)?;
        network::remove(self.id)?;
        let path = self.id.file();
        fs::remove_file(&path).map_err(Error::file("remove", path))
    }

    fn is_orphan(&self) -> bool {
        started(self.content.owner) != Some(self.content.owner_started)
    }
}

/// Removes what clusters left whose owners are dead; gives their ids.
///
/// # Errors
///
/// Something cannot be removed. Its record stays.
pub(super) fn clean(_lock: &Lock) -> Result<Vec<String>, Error> {
    let mut cleaned = Vec::new();
    let entries = fs::read_dir(FOLDER).map_err(Error::file("list", FOLDER))?;
    for entry in entries.filter_map(Result::ok) {
        let Some(record) = read(&entry.path()) else {
            continue;
        };
        if !record.is_orphan() {
            continue;
        }
        record.settle()?;
        for folder in &record.content.folders {
            // What cannot be removed holds no more than files.
            if let Err(error) = fs::remove_dir_all(folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                say(&format!("cannot remove {}: {error}", folder.display()));
            }
        }
        cleaned.push(record.id.to_string());
    }
    Ok(cleaned)
}

/// The record in a file; `None` for the lock, and for what is being written.
fn read(path: &Path) -> Option<Record> {
    let id = u16::from_str_radix(path.file_name()?.to_str()?, 16).ok()?;
    let content = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(Record {
        id: Id(id),
        content,
    })
}

/// When a process was started, if there is one.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything. What follows is fields 3 and on.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has nothing left but its id.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
