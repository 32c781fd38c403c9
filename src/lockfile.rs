//! The lock of a pod: whoever holds it knows that every earlier process of the pod that held it is
//! dead, and reads what the last of them left.
//!
//! A process takes it before it stands for election and holds it until the kernel takes it away,
//! which it does when the process is dead and not before: not when it is frozen. The file lies in an
//! `emptyDir` of its own, which outlives the containers of a pod and is shared with no other pod.
//! Nobody removes it: a file that is made anew is another lock.

mod block;
mod mountinfo;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};

use async_trait::async_trait;
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::domain::election::{
    BootId, HolderId, NoShortCut, PodRecord, Predecessor, ShortCutRules, Tenure,
};
use crate::domain::error::{Error, Kind};
use crate::domain::leadership::BootTime;
use crate::ports::Legacy;
use mountinfo::Mount;

/// The lock, held until this process ends. Clones are the same lock.
#[derive(Debug, Clone)]
pub struct LockFile(Arc<Locked>);

#[derive(Debug)]
struct Locked {
    path: PathBuf,
    /// Never closed by us: the lock says that this process is dead, so it must not end before.
    file: ManuallyDrop<File>,
    /// What is on record.
    record: Mutex<PodRecord>,
    /// What was found there, if it could be read.
    found: Option<PodRecord>,
}

/// What the kernel says about this process and its machine.
#[derive(Debug)]
struct Facts {
    mountinfo: Vec<u8>,
    boot: BootId,
}

/// Why the file is not taken as the pod's lock. The ordinary election serves all the same.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A call on the file, or on what the kernel tells about it, failed.
    #[error("{attempt} {}", .path.display())]
    Call {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        #[source]
        source: io::Error,
    },
    /// A device, a directory or the like.
    #[error("{} is no regular file", .0.display())]
    NoFile(PathBuf),
    /// It would vanish with the container, or be shared with others.
    #[error(
        "{} is no mount of its own but a part of {}; give the lock an emptyDir of its own, mounted there",
        .directory.display(), .point.display()
    )]
    NoMount {
        /// Where the file lies.
        directory: PathBuf,
        /// What it lies on.
        point: PathBuf,
    },
    /// Its locks may be kept by another machine, or forgotten.
    #[error("{} is a mount of {filesystem}, which is not known to keep locks on this machine", .point.display())]
    NotLocal {
        /// Where it is mounted.
        point: PathBuf,
        /// What it is.
        filesystem: String,
    },
    /// Another process lives, and may be frozen in the middle of anything.
    #[error(
        "another process holds the lock on {}: a former process of this pod is not dead yet, or the directory is mounted by others too",
        .0.display()
    )]
    Held(PathBuf),
    /// Others would lock another file than we did.
    #[error("{} no longer leads to the file that was opened there, or not alone", .0.display())]
    Replaced(PathBuf),
}

// === impl LockFile ===

impl LockFile {
    /// Takes the lock at `path`, which is created if there is none. Does not wait: who holds it
    /// lives, and this process then stands for election without a short cut, for life. Taking the
    /// lock later would say nothing about who led in between.
    ///
    /// # Errors
    /// [`Refused`]: there is no lock, or none that could be trusted.
    pub fn take(path: &Path) -> Result<Self, Refused> {
        Self::take_with(path, &Facts::read()?)
    }

    fn take_with(path: &Path, facts: &Facts) -> Result<Self, Refused> {
        let directory = path.parent().filter(|parent| parent.is_absolute());
        let (Some(directory), Some(name)) = (directory, path.file_name()) else {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(refused("using a path that is not absolute:", path)(source));
        };
        let directory = fs::canonicalize(directory).map_err(refused("finding", directory))?;
        let path = directory.join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            // A link could lead out of the mount. Children must not inherit the lock; std opens
            // with O_CLOEXEC, and it is named here because the lock rests on it.
            .custom_flags(OFlags::union(OFlags::NOFOLLOW, OFlags::CLOEXEC).bits().cast_signed())
            .open(&path)
            .map_err(refused("opening", &path))?;
        let meta = file.metadata().map_err(refused("looking at", &path))?;
        if !meta.is_file() {
            return Err(Refused::NoFile(path));
        }
        check_mount(&file, &path, &directory, facts)?;
        // flock and not fcntl: a lock of fcntl ends as soon as the process closes any descriptor of
        // the file, such as that of a reader.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                Refused::Held(path.clone())
            } else {
                refused("locking", &path)(error.into())
            }
        })?;
        check_identity(&file, &path)?;
        let found = read(&file).map_err(refused("reading", &path))?;
        let record = PodRecord {
            boot: facts.boot.clone(),
            tenure: None,
            short_cut: None,
        };
        // What another boot left says nothing; what this one left stays until we know better.
        let record = match &found {
            Some(found) if found.boot == facts.boot => found.clone(),
            Some(_) | None => record,
        };
        Ok(Self(Arc::new(Locked {
            path,
            file: ManuallyDrop::new(file),
            record: Mutex::new(record),
            found,
        })))
    }

    /// The dead process of this pod whose Lease `me` may take at once.
    ///
    /// # Errors
    /// [`NoShortCut`], with the condition that does not hold.
    pub fn predecessor(
        &self,
        me: &HolderId,
        rules: &ShortCutRules,
        now: BootTime,
    ) -> Result<Predecessor, NoShortCut> {
        let boot = match self.0.record.lock() {
            Ok(record) => record.boot.clone(),
            Err(poisoned) => poisoned.into_inner().boot.clone(),
        };
        Predecessor::find(me, self.0.found.as_ref(), &boot, rules, now)
    }

    /// Changes the record. On a thread that may hang: a disk can be slow for as long as it likes.
    async fn change(
        &self,
        change: impl FnOnce(&mut PodRecord) + Send + 'static,
    ) -> Result<(), Error> {
        let locked = Arc::clone(&self.0);
        let failed = match tokio::task::spawn_blocking(move || locked.change(change)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => self.unwritten().because(error),
            Err(error) => self.unwritten().because(error),
        };
        Err(failed)
    }

    fn unwritten(&self) -> Error {
        let what = format!("cannot write the pod's record to {}", self.0.path.display());
        Error::new(Kind::Unavailable, what)
    }
}

#[async_trait]
impl Legacy for LockFile {
    async fn tenure(&self, tenure: Option<Tenure>) -> Result<(), Error> {
        self.change(|record| record.tenure = tenure).await
    }

    async fn short_cut(&self, at: BootTime) -> Result<(), Error> {
        self.change(move |record| record.short_cut = Some(at)).await
    }
}

// === impl Locked ===

impl Locked {
    /// One write at a time; if one hangs, the next ones fail at once instead of queueing behind it.
    ///
    /// It is not synced. A record is for a process on the same boot of the same machine, which reads
    /// the same page cache whether or not the disk has it; after a crash of the machine it is void.
    /// A sync would only make the election wait for the disk.
    fn change(&self, change: impl FnOnce(&mut PodRecord)) -> io::Result<()> {
        let mut record = match self.record.try_lock() {
            Ok(record) => record,
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("the write before this one hangs"));
            }
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        let mut changed = record.clone();
        change(&mut changed);
        let block = block::write(&changed).ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.write_all_at(&block, 0)?;
        *record = changed;
        Ok(())
    }
}

// === impl Facts ===

impl Facts {
    fn read() -> Result<Self, Refused> {
        const MOUNTS: &str = "/proc/self/mountinfo";
        const BOOT: &str = "/proc/sys/kernel/random/boot_id";
        let boot = fs::read_to_string(BOOT).map_err(refused("reading", BOOT))?;
        let nothing = || refused("reading", BOOT)(io::ErrorKind::InvalidData.into());
        Ok(Self {
            mountinfo: fs::read(MOUNTS).map_err(refused("reading", MOUNTS))?,
            boot: BootId::new(&boot).ok_or_else(nothing)?,
        })
    }
}

/// The mount is that of the open file, whatever has happened to the path since.
fn check_mount(file: &File, path: &Path, directory: &Path, facts: &Facts) -> Result<(), Refused> {
    let told = PathBuf::from(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    let text = fs::read_to_string(&told).map_err(refused("reading", &told))?;
    let mount = text
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .and_then(|id| Mount::find(&facts.mountinfo, id));
    let Some(mount) = mount else {
        let source = io::ErrorKind::NotFound.into();
        return Err(refused("finding the mount of", path)(source));
    };
    if mount.point != directory {
        return Err(Refused::NoMount {
            directory: directory.to_owned(),
            point: mount.point,
        });
    }
    if !mount.is_local() {
        return Err(Refused::NotLocal {
            point: mount.point,
            filesystem: mount.filesystem,
        });
    }
    Ok(())
}

/// Asked under the lock: what was locked must be what the next process will find at the path.
fn check_identity(file: &File, path: &Path) -> Result<(), Refused> {
    let opened = file.metadata().map_err(refused("looking at", path))?;
    let there = match fs::symlink_metadata(path) {
        Ok(there) => Some((there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refused("looking at", path)(error)),
    };
    if there == Some((opened.dev(), opened.ino())) && opened.nlink() == 1 {
        Ok(())
    } else {
        Err(Refused::Replaced(path.to_owned()))
    }
}

fn read(file: &File) -> io::Result<Option<PodRecord>> {
    let mut bytes = [0; block::SIZE];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(block::read(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn refused(attempt: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Refused {
    let path = path.as_ref().to_owned();
    move |source| Refused::Call {
        attempt,
        path,
        source,
    }
}
