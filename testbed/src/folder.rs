//! The folder of one run: what its processes wrote, kept as evidence when something went wrong.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use crate::error::Error;
use crate::tools::say;

/// Names the folder in which folders of runs are made, instead of the system's temporary one.
const PARENT: &str = "RDS_CSI_TESTBED_EVIDENCE";

/// A folder that is removed when this value goes, unless the run failed.
#[derive(Debug)]
pub struct RunFolder {
    /// `None` only while it is dropped.
    folder: Option<TempDir>,
    path: PathBuf,
    keep: AtomicBool,
}

impl RunFolder {
    /// A new folder whose name begins with `name`, with an empty folder `logs` in it.
    pub fn create(name: &str) -> Result<Self, Error> {
        let parent = std::env::var_os(PARENT).map_or_else(std::env::temp_dir, PathBuf::from);
        fs::create_dir_all(&parent).map_err(Error::file("make", &parent))?;
        let mut builder = tempfile::Builder::new();
        let prefix = format!("rds-csi-{name}-");
        let made = builder.prefix(&prefix).tempdir_in(&parent);
        let folder = made.map_err(Error::file("make a folder in", parent))?;
        let path = folder.path().to_owned();
        let this = Self {
            folder: Some(folder),
            path,
            keep: AtomicBool::new(false),
        };
        this.subfolder("logs")?;
        Ok(this)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the logs of processes go.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// A folder in it, made if it does not exist.
    pub fn subfolder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(Error::file("make", &path))?;
        Ok(path)
    }

    /// Writes a file that only we may read: most of what is written here holds a key.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, content.as_bytes()));
        written.map_err(Error::file("write", &path))?;
        Ok(path)
    }

    /// Keeps the folder when this value goes. A test that panics keeps it without being asked.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else {
            return;
        };
        if self.keep.load(Ordering::Relaxed) || std::thread::panicking() {
            say(&format!("evidence: {}", folder.keep().display()));
        } else if let Err(error) = folder.close() {
            say(&format!("cannot remove {}: {error}", self.path.display()));
        }
    }
}

/// The files for stdout and stderr of the next process of this name: `NAME.1.out`, `NAME.1.log`,
/// then `NAME.2.out` and so on, so that each life of a process has its own.
pub(crate) fn outputs(logs: &Path, name: &str) -> Result<[(PathBuf, File); 2], Error> {
    let mut life = 1;
    loop {
        let path = |kind: &str| logs.join(format!("{name}.{life}.{kind}"));
        match File::create_new(path("log")) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => life += 1,
            Err(error) => return Err(Error::file("make", path("log"))(error)),
            Ok(log) => {
                let out = File::create(path("out")).map_err(Error::file("make", path("out")))?;
                return Ok([(path("out"), out), (path("log"), log)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_a_run_that_passed_and_stays_with_one_that_failed() {
        for keep in [false, true] {
            let folder = RunFolder::create("folder").unwrap();
            let path = folder.path().to_owned();
            folder.write("evidence", "seen").unwrap();
            if keep {
                folder.keep();
            }
            drop(folder);
            assert_eq!(path.join("evidence").exists(), keep);
            if keep {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }

    #[test]
    fn each_life_of_a_process_has_its_own_files() {
        let folder = RunFolder::create("folder").unwrap();
        let names = |life: u32| {
            ["out", "log"].map(|kind| folder.logs().join(format!("etcd.{life}.{kind}")))
        };
        for life in [1, 2] {
            let made = outputs(&folder.logs(), "etcd").unwrap();
            assert_eq!(made.map(|(path, _)| path), names(life));
        }
    }
}
