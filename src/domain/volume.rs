//! What exists: a disk entry on the RDS as it was read, and what a new one shall be.

use crate::domain::error::Error;
use crate::domain::file::{BackingFile, Directory};
use crate::domain::grant::{Register, Scheme};
use crate::domain::id::VolumeId;
use crate::domain::names::Names;

/// A disk entry whose slot is the id of a volume, exactly as the device reported it. Whether it is
/// ours is another question: see [`Entry::prove_ours`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The slot.
    pub id: VolumeId,
    /// `type` is `file`: the only kind this driver makes.
    pub file_backed: bool,
    /// The backing file, with its leading slash; empty if the device names none.
    pub path: String,
    /// Exact bytes.
    pub size: u64,
    /// `nvme-tcp-export`.
    pub exported: bool,
    /// `nvme-tcp-server-port`.
    pub port: u16,
    /// Both names as they stand.
    pub names: Names,
    /// Switched off by hand: it is not exported, whatever its properties say.
    pub disabled: bool,
}

/// What CreateVolume asks the RDS for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVolume {
    /// The slot.
    pub id: VolumeId,
    /// The backing file, with a nonce of its own.
    pub file: BackingFile,
    /// Exact bytes.
    pub size: u64,
    /// Port of the export.
    pub port: u16,
    /// Names that nobody is told.
    pub names: Names,
}

/// What is left of a volume after its entry was to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The entry, if it is still there.
    pub entry: Option<Entry>,
    /// Backing files of the volume, of any incarnation, that carry this driver's mark.
    pub files: Vec<BackingFile>,
}

/// Room in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSpace {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that are not used. Files are sparse, so this can be promised more than once.
    pub free: u64,
}

impl Entry {
    /// Proof that the entry, and with it its file, belongs to this driver in this cluster.
    ///
    /// # Errors
    /// `InUse`, naming what differs: nothing that is not provably ours is ever changed.
    pub fn prove_ours(&self, scheme: &Scheme, base: &Directory) -> Result<BackingFile, Error> {
        let path = if self.file_backed {
            self.path.as_str()
        } else {
            "a disk that is not a file"
        };
        BackingFile::prove(path, &self.id, &scheme.cluster, base)
    }

    /// What the names mean.
    pub fn register(&self, scheme: &Scheme) -> Register {
        scheme.read(&self.id, self.exported, &self.names)
    }
}
