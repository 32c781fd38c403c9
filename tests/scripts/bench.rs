//! A folder with stand-ins for programs, put in front of `PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Writes an executable; those under `path/` hide programs of the machine from scripts.
    pub(crate) fn executable(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// A script of this repository, with nothing of the caller's settings that it listens to.
    pub(crate) fn script(&self, script: &str) -> Command {
        let path = std::env::var("PATH").expect("PATH is set");
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
        command
            .env("PATH", format!("{}:{path}", self.path("path").display()))
            .env_remove("RDS_CSI_TESTBED_BIN")
            .env_remove("RDS_CSI_TESTBED_CACHE")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CI");
        command
    }
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout)
        .expect("UTF-8")
        .trim_end()
}
