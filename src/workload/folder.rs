//! A folder for sockets, secrets and logs that nobody else can look into, gone when dropped.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The folder. Dropping it removes it with everything in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

// === impl Folder ===

impl Folder {
    /// Makes one, with a name of its own, where temporary files go.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create() -> io::Result<Self> {
        let name = format!("rds-csi-{:016x}", rand::random::<u64>());
        let folder = Self(std::env::temp_dir().join(name));
        make(&folder.0)?;
        Ok(folder)
    }

    /// Where something of this name in it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a folder in it.
    ///
    /// # Errors
    /// It cannot be made, or is there already.
    pub fn within(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        make(&path)?;
        Ok(path)
    }

    /// Writes a new file in it that only its owner can read.
    ///
    /// # Errors
    /// It cannot be written, or is there already.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&path)?.write_all(text.as_bytes())?;
        Ok(path)
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove the folder");
        }
    }
}
