//! A file whose parsed content is kept until the file changes, so that rotation needs no restart.

use std::fs::File;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

/// Largest key, password or `known_hosts` file that is read. A `known_hosts` line is about 130
/// bytes (an RSA one 450), so one mebibyte holds thousands of hosts.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a configured file could not be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It is missing or may not be read.
    #[error("cannot read {path}: {source}; check that the file exists and is mounted", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no text file of a plausible size.
    #[error("{path} is not what it should be: {why}", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What tells one state of a file from the next. Kubernetes swaps a symbolic link, which changes
/// the inode; an editor changes length or times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Whether others than the owner are expected to be able to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privacy {
    /// A warning is logged when group or world may read it.
    Secret,
    /// Anybody may read it.
    Public,
}

/// A file and what was last read from it.
pub(super) struct Watched<T> {
    path: PathBuf,
    privacy: Privacy,
    last: Mutex<Option<(Stamp, Arc<T>)>>,
}

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watched").field(&self.path).finish()
    }
}

impl<T> Watched<T> {
    pub(super) fn new(path: PathBuf, privacy: Privacy) -> Self {
        Self {
            path,
            privacy,
            last: Mutex::new(None),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The state the file is in now, `None` when there is no such file.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        std::fs::metadata(&self.path).ok().as_ref().map(Stamp::from)
    }

    /// The parsed content, read again if the file changed since the last call. Blocks on the file
    /// system. A file that cannot be parsed is tried again at every call.
    pub(super) fn load<E: From<FileError>>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let unreadable = |source| FileError::Read {
            path: self.path.clone(),
            source,
        };
        let file = File::open(&self.path).map_err(unreadable)?;
        // Taken from the open file and before reading it: a change in between shows at the next
        // call as another stamp, and is not missed.
        let metadata = file.metadata().map_err(unreadable)?;
        let stamp = Stamp::from(&metadata);
        if let Some((seen, value)) = &*self.last.lock().unwrap_or_else(PoisonError::into_inner)
            && *seen == stamp
        {
            return Ok(Arc::clone(value));
        }
        self.warn_if_exposed(&metadata);
        let value = Arc::new(parse(self.read(file, stamp.length)?.expose_secret())?);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((stamp, Arc::clone(&value)));
        Ok(value)
    }

    fn read(&self, file: File, length: u64) -> Result<SecretString, FileError> {
        let content = |why| FileError::Content {
            path: self.path.clone(),
            why,
        };
        if length > MAX_FILE_BYTES {
            return Err(content("it is larger than 1 MiB"));
        }
        let mut text = String::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|source| {
                if source.kind() == io::ErrorKind::InvalidData {
                    content("it is not text")
                } else {
                    FileError::Read {
                        path: self.path.clone(),
                        source,
                    }
                }
            })?;
        if text.trim().is_empty() {
            return Err(content("it is empty"));
        }
        Ok(SecretString::from(text))
    }

    /// A group may read: Kubernetes shows a Secret to a pod that is not root by the pod's own group.
    fn warn_if_exposed(&self, metadata: &Metadata) {
        let mode = metadata.mode() & 0o777;
        if self.privacy == Privacy::Secret && mode & 0o027 != 0 {
            tracing::warn!(
                path = %self.path.display(),
                mode = format_args!("{mode:04o}"),
                "secret file can be read by others, or written by its group; use mode 0400 or 0440"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &Watched<String>) -> Result<Arc<String>, FileError> {
        file.load(|text| Ok(text.trim().to_owned()))
    }

    #[test]
    fn changed_file_is_read_again_and_unchanged_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let file = Watched::new(path.clone(), Privacy::Public);
        let first = load(&file).unwrap();
        assert!(Arc::ptr_eq(&first, &load(&file).unwrap()));
        // The way Kubernetes does it: another file takes the place of the first.
        let next = directory.path().join("next");
        std::fs::write(&next, "two").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(*load(&file).unwrap(), "two");
    }

    #[test]
    fn unusable_files_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = Watched::new(path.clone(), Privacy::Secret);
        let missing = load(&file).unwrap_err();
        assert!(matches!(missing, FileError::Read { .. }), "{missing}");
        for (content, expected) in [(&b" \n"[..], "empty"), (&b"\xff\xfe"[..], "not text")] {
            std::fs::write(&path, content).unwrap();
            let message = load(&file).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
