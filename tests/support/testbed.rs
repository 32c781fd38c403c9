//! Finds the tools of the test bed, or says why a test has to be skipped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `testbed/build.sh` exits with when this machine has no Go, or one that is too old.
const NO_GO: i32 = 3;

/// The folder with the named tools, built on first use. `None` if this machine cannot build them:
/// the test named here has then been reported as skipped and returns. In CI that is a failure.
pub(crate) fn tools(test: &str, names: &[&str]) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/build.sh");
    let output = Command::new(&script).args(names).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let stderr = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', " ");
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    if output.status.code() == Some(NO_GO) && !in_ci {
        say(&format!("skipped: {test}: {stderr}"));
        return None;
    }
    assert!(output.status.success(), "{test} needs {names:?}: {stderr}");
    Some(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim_end(),
    ))
}

/// Prints a line of its own that the test harness does not capture, for `tests/run.sh` to count.
pub(crate) fn say(line: &str) {
    // The harness may be in the middle of a line, hence the line feed in front.
    let said = write!(std::io::stdout().lock(), "\n{line}\n");
    said.unwrap_or_else(|error| panic!("stdout is gone: {error}"));
}
