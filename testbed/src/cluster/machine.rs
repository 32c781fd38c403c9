//! What this machine must have for nodes: rights, namespaces, overlayfs, control groups, and programs of
//! Debian's.

use std::path::{Path, PathBuf};

use super::cgroups::Cgroups;
use super::command::now;
use crate::debian;
use crate::error::Error;

/// Tries what a node is made of, in a folder where images would be: prints nothing if all is well.
const PROBE: &str = "cd \"$0\" && mkdir lower upper work merged && \
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged";

/// What nodes are made of here.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) cgroups: Cgroups,
    /// The folder with `runc`.
    pub(super) runc: PathBuf,
    /// The folder with the CNI plugins.
    pub(super) cni: PathBuf,
    /// `sleep`, for containers that do nothing.
    pub(super) sleep: PathBuf,
}

impl Machine {
    /// Looks at this machine; `folder` is an empty one on the disk where nodes will be.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with what is missing.
    pub(super) fn examine(folder: &Path) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(missing("nodes are made by root"));
        }
        for program in ["ip", "ldd", "nsenter", "setpriv", "sha256sum", "unshare"] {
            if find(program, &[]).is_none() {
                return Err(missing(format!("there is no {program}")));
            }
        }
        let folder = folder.to_string_lossy();
        let namespaces = "--mount --net --pid --ipc --fork --mount-proc --propagation=private";
        let mut probe: Vec<&str> = namespaces.split(' ').collect();
        probe.extend(["sh", "-c", PROBE, &folder]);
        let tried = now("unshare", &probe);
        tried.map_err(|error| missing(format!("no namespaces or no overlayfs: {error}")))?;
        let sleep = find("sleep", &[]).ok_or_else(|| missing("there is no sleep"))?;
        Ok(Self {
            cgroups: Cgroups::detect()?,
            runc: folder_of("runc", &["/usr/sbin"], "runc", "usr/sbin")?,
            cni: folder_of(
                "host-local",
                &["/usr/lib/cni", "/opt/cni/bin"],
                "containernetworking-plugins",
                "usr/lib/cni",
            )?,
            sleep,
        })
    }
}

fn missing(why: impl Into<String>) -> Error {
    Error::Unavailable(format!("no nodes on this machine: {}", why.into()))
}

/// The folder with a program: one that is installed, or that of a Debian package in the cache.
fn folder_of(program: &str, more: &[&str], package: &str, inside: &str) -> Result<PathBuf, Error> {
    if let Some(found) = find(program, more) {
        return Ok(found.parent().unwrap_or(Path::new("/")).to_owned());
    }
    let tree = debian::package(package, &format!("{inside}/{program}"))?;
    Ok(tree.join(inside))
}

/// The path of a program in `PATH` or in more folders.
fn find(program: &str, more: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(more.iter().map(PathBuf::from));
    folders.find_map(|folder| {
        let file = folder.join(program);
        file.is_file().then_some(file)
    })
}
