//! Where the bytes of backing files live: stamps in memory, or real sparse files in a directory.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::SeekFrom;
use serde::{Deserialize, Serialize};

/// The unit a write occupies. Offsets are rounded down to it.
pub const SECTOR: u64 = 512;

/// Longest stamp.
pub const STAMP_MAX: usize = 64;

/// Bytes a written sector takes of the pool: the block size of btrfs and XFS.
pub const ALLOCATION_UNIT: u64 = 4096;

/// Bytes copied at a time between real files.
const COPY_CHUNK: usize = 1 << 20;

/// What a write leaves in its sector: up to 64 bytes that do not end in NUL, so that it reads back
/// the same from a zero-padded sector of a real file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stamp(Arc<[u8]>);

/// The bytes cannot be a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stamp has 1 to 64 bytes and does not end in NUL")]
pub struct NotAStamp;

/// The place of file contents.
#[derive(Debug, Clone)]
pub(crate) enum Backing {
    /// Only stamps, kept with the file's entry.
    Memory,
    /// Real sparse files below this directory, named as on the device.
    Directory(PathBuf),
}

// === impl Stamp ===

impl Stamp {
    /// Makes a stamp of these bytes.
    ///
    /// # Errors
    /// [`NotAStamp`] for none, too many, or a NUL at the end.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, NotAStamp> {
        let bytes = bytes.as_ref();
        let fits = (1..=STAMP_MAX).contains(&bytes.len()) && bytes.last() != Some(&0);
        if fits {
            Ok(Self(bytes.into()))
        } else {
            Err(NotAStamp)
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stamp({})", self.0.escape_ascii())
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        let digits: Vec<String> = stamp.0.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat()
    }
}

impl TryFrom<String> for Stamp {
    type Error = NotAStamp;

    fn try_from(hex: String) -> Result<Self, NotAStamp> {
        let digit = |at: usize| {
            hex.get(at..at + 2)
                .and_then(|two| u8::from_str_radix(two, 16).ok())
        };
        let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digit).collect();
        Self::new(bytes.ok_or(NotAStamp)?)
    }
}

/// The sector an offset falls into.
pub(crate) fn sector_of(offset: u64) -> u64 {
    offset - offset % SECTOR
}

// === impl Backing ===

impl Backing {
    fn path(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Memory => None,
            Self::Directory(root) => Some(root.join(name)),
        }
    }

    /// True when contents are kept in memory.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory)
    }

    pub(crate) fn make_directory(&self, name: &str) -> io::Result<()> {
        self.path(name).map_or(Ok(()), fs::create_dir_all)
    }

    /// Makes the file, or changes its length; what is new reads as zeros.
    pub(crate) fn resize(&self, name: &str, size: u64) -> io::Result<()> {
        let Some(path) = self.path(name) else {
            return Ok(());
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.set_len(size)
    }

    pub(crate) fn remove(&self, name: &str, directory: bool) -> io::Result<()> {
        let Some(path) = self.path(name) else {
            return Ok(());
        };
        let done = if directory {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Writes one sector of a real file and returns the bytes the file now occupies.
    pub(crate) fn write(&self, name: &str, sector: u64, stamp: &Stamp) -> io::Result<u64> {
        let Some(path) = self.path(name) else {
            return Ok(0);
        };
        let mut bytes = stamp.as_bytes().to_vec();
        bytes.resize(usize::try_from(SECTOR).unwrap_or(STAMP_MAX), 0);
        let file = OpenOptions::new().write(true).open(path)?;
        file.write_all_at(&bytes, sector)?;
        Ok(file.metadata()?.blocks() * SECTOR)
    }

    pub(crate) fn read(&self, name: &str, sector: u64) -> io::Result<Option<Stamp>> {
        let Some(path) = self.path(name) else {
            return Ok(None);
        };
        let mut bytes = [0_u8; STAMP_MAX];
        let read = File::open(path)?.read_at(&mut bytes, sector)?;
        let filled = bytes.get(..read).unwrap_or_default();
        let end = filled
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        Ok(Stamp::new(filled.get(..end).unwrap_or_default()).ok())
    }

    /// Copies the contents of one real file over another, keeping holes. Blocks; call it away from
    /// the runtime's workers.
    pub(crate) fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        match (self.path(from), self.path(to)) {
            (Some(from), Some(to)) => copy_sparse(&from, &to),
            _ => Ok(()),
        }
    }
}

/// Copies only the parts the file system says hold data, and clears the rest of the target.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(to)?;
    let (length, kept) = (source.metadata()?.len(), target.metadata()?.len());
    target.set_len(0)?;
    target.set_len(length.max(kept))?;
    let mut buffer = vec![0_u8; COPY_CHUNK];
    let mut at = 0;
    while let Some(start) = seek(&source, SeekFrom::Data(at))? {
        let end = seek(&source, SeekFrom::Hole(start))?.unwrap_or(length);
        at = start;
        while at < end {
            let room = usize::try_from(end - at)
                .unwrap_or(COPY_CHUNK)
                .min(COPY_CHUNK);
            let part = buffer.get_mut(..room).unwrap_or_default();
            source.read_exact_at(part, at)?;
            target.write_all_at(part, at)?;
            at += room as u64;
        }
    }
    Ok(())
}

/// The next data or hole; `None` past the last.
fn seek(file: &File, to: SeekFrom) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, to) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
