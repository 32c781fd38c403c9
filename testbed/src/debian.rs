//! Programs from Debian packages: fetched once into the cache, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

/// One thread fetches, the others wait for it.
static FETCHING: Mutex<()> = Mutex::new(());

/// The files of a package, as a tree with this file in it. Its scripts do not run, and it brings only
/// its own part: no user, no service, no package that it depends on.
///
/// # Errors
///
/// [`Error::Unavailable`] where apt cannot fetch it.
pub fn package(name: &str, file: &str) -> Result<PathBuf, Error> {
    let fetched = fetched(name, file);
    fetched.map_err(|why| Error::Unavailable(format!("no Debian package {name}: {why}")))
}

fn fetched(name: &str, file: &str) -> Result<PathBuf, String> {
    let one_at_a_time = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = cache()?;
    let ready = cache.join(name);
    if !ready.join(file).exists() {
        fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
        let fresh = tempfile::tempdir_in(&cache).map_err(|error| error.to_string())?;
        fetch(name, fresh.path())?;
        // Another run may have been faster; its copy is as good.
        drop(fs::rename(fresh.path().join("tree"), &ready));
    }
    drop(one_at_a_time);
    let is_there = ready.join(file).exists();
    is_there
        .then_some(ready)
        .ok_or_else(|| format!("it has no {file}"))
}

fn cache() -> Result<PathBuf, String> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(home).ok_or("there is no home")?;
    Ok(cache.join("rds-csi"))
}

fn fetch(name: &str, folder: &Path) -> Result<(), String> {
    step(Command::new("apt-get").args(["download", name]), folder)?;
    let found = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut found = found.filter_map(|entry| Some(entry.ok()?.path()));
    let package = found.find(|path| path.extension().is_some_and(|kind| kind == "deb"));
    let package = package.ok_or("apt-get downloaded nothing")?;
    let mut unpack = Command::new("dpkg");
    step(unpack.arg("-x").arg(package).arg("tree"), folder)
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
