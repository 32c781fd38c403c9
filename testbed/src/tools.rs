//! The folder with the tools of the test bed: built on first use, or a reason why it cannot be.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// What our scripts exit with when this machine cannot do what they are for at all: `build.sh` without
/// a Go that is new enough, `image.sh` without root.
const NOT_HERE: i32 = 3;

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
        let folder = script("build.sh", names, &names.join(", "))?;
        Ok(Self { folder })
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

/// Runs a script that lies beside our manifest and prints a path. `names` is what it is to get.
///
/// # Errors
///
/// As [`Tools::find`].
pub(crate) fn script(script: &str, arguments: &[&str], names: &str) -> Result<PathBuf, Error> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(&script).args(arguments).output();
    let output = output.map_err(Error::file("run", script))?;
    if output.status.success() {
        let path = String::from_utf8_lossy(&output.stdout);
        return Ok(PathBuf::from(path.trim_end()));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let why = stderr.trim().replace('\n', " ");
    if output.status.code() == Some(NOT_HERE) && !in_ci() {
        return Err(Error::Unavailable(why));
    }
    let names = names.to_owned();
    Err(Error::Tools { names, why })
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
