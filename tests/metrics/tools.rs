//! Prometheus and its promtool, from the Debian package: fetched once into the cache, never installed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// One test fetches, the others wait for it.
static FETCHING: Mutex<()> = Mutex::new(());

/// The folder with `prometheus` and `promtool`. `None` where there is no apt: the test named here has
/// then been reported as skipped and returns. In CI that is a failure.
pub(crate) fn tools(test: &str) -> Option<PathBuf> {
    match fetched() {
        Ok(folder) => Some(folder),
        Err(why) => {
            let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!in_ci, "{test} needs Debian's package prometheus: {why}");
            // The harness may be in the middle of a line, hence the line feed in front.
            let line = format!("\nskipped: {test}: no prometheus: {why}\n");
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            None
        }
    }
}

/// Runs one of them to its end; both outputs as text, and whether it went well.
pub(crate) fn run(command: &mut Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.success(), text)
}

fn fetched() -> Result<PathBuf, String> {
    let one_at_a_time = FETCHING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let cache = cache()?;
    let ready = cache.join("prometheus/usr/bin");
    if !ready.join("promtool").exists() {
        fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
        let fresh = tempfile::tempdir_in(&cache).map_err(|error| error.to_string())?;
        fetch(fresh.path())?;
        // Another run may have been faster; its copy is as good.
        drop(fs::rename(
            fresh.path().join("tree"),
            cache.join("prometheus"),
        ));
    }
    drop(one_at_a_time);
    ready
        .join("promtool")
        .exists()
        .then_some(ready)
        .ok_or_else(|| "the package has no promtool".to_owned())
}

fn cache() -> Result<PathBuf, String> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(home).ok_or("there is no home")?;
    Ok(cache.join("rds-csi"))
}

/// Only the part of the package that is this test's business: no user, no service, no root.
fn fetch(folder: &Path) -> Result<(), String> {
    step(
        Command::new("apt-get").args(["download", "prometheus"]),
        folder,
    )?;
    let found = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut found = found.filter_map(|entry| Some(entry.ok()?.path()));
    let package = found.find(|path| path.extension().is_some_and(|kind| kind == "deb"));
    let package = package.ok_or("apt-get downloaded nothing")?;
    step(
        Command::new("dpkg").arg("-x").arg(package).arg("tree"),
        folder,
    )
}

fn step(command: &mut Command, folder: &Path) -> Result<(), String> {
    let output = command.current_dir(folder).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", stderr.trim().replace('\n', " ")))
}
