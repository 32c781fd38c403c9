//! The folder with the tools of the test bed: built on first use, or a reason why it cannot be.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// What `build.sh` exits with when this machine has no Go, or one that is too old.
const NO_GO: i32 = 3;

/// A folder that holds the tools that were asked for.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The named tools, built on first use: that can take ten minutes, and it blocks the thread.
    /// With `RDS_CSI_TESTBED_BIN` in the environment, the ready-made ones in that folder.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if this machine cannot build them and is not CI. Everything else, in CI
    /// a missing Go too, is [`Error::Tools`].
    pub fn find(names: &[&str]) -> Result<Self, Error> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.sh");
        let output = Command::new(&script).args(names).output();
        let output = output.map_err(Error::file("run", script))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let why = stderr.trim().replace('\n', " ");
        if output.status.success() {
            let folder = String::from_utf8_lossy(&output.stdout);
            return Ok(Self {
                folder: PathBuf::from(folder.trim_end()),
            });
        }
        if output.status.code() == Some(NO_GO) && !in_ci() {
            return Err(Error::Unavailable(why));
        }
        let names = names.join(", ");
        Err(Error::Tools { names, why })
    }

    /// [`Tools::find`] on a thread that may be blocked.
    pub(crate) async fn find_all(names: Vec<&'static str>) -> Result<Self, Error> {
        let finding = tokio::task::spawn_blocking(move || Self::find(&names));
        finding.await.expect("looking for tools does not panic")
    }

    /// The named tools for one test. `None` if this machine cannot build them: the test has then been
    /// reported as skipped and returns.
    ///
    /// # Panics
    ///
    /// If they cannot be had for any other reason.
    #[allow(clippy::panic, reason = "it speaks for the test that called it")]
    pub fn for_test(test: &str, names: &[&str]) -> Option<Self> {
        match Self::find(names) {
            Ok(tools) => Some(tools),
            Err(Error::Unavailable(why)) => {
                skipped(test, &why);
                None
            }
            Err(error) => panic!("{test}: {error}"),
        }
    }

    /// The path of a tool.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder that holds them all.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Whether this is CI, where nothing may be skipped quietly.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

/// Says that a test which is about to return has not tested anything, for `tests/run.sh` to count.
pub fn skipped(test: &str, why: &str) {
    say(&format!("skipped: {test}: {why}"));
}

/// Prints a line of its own that the test harness does not capture.
///
/// # Panics
///
/// If stdout is gone.
pub fn say(line: &str) {
    // The harness may be in the middle of a line, hence the line feed in front.
    let said = write!(std::io::stdout().lock(), "\n{line}\n");
    said.expect("a test has a stdout");
}
