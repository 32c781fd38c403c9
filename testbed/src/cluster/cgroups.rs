//! The control groups of a cluster: one folder with its id, and one in that for each node, in whichever
//! version this machine has.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::record::Id;
use crate::error::Error;

/// Where Linux has them.
const ROOT: &str = "/sys/fs/cgroup";
/// What a kubelet and runc set limits with.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
/// What version 1 needs besides: in version 2 these are always there.
const ONLY_V1: [&str; 3] = ["cpuacct", "devices", "freezer"];
/// Where version 2 has this at all, a kubelet ends at once if its root is without it
/// (`getSupportedUnifiedControllers` in its `cgroup_v2_manager_linux.go`).
const IF_V2_HAS_IT: &str = "hugetlb";
/// A SIGKILL takes milliseconds, and longer where a process waits for a disk.
const KILL_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// The control groups of this machine.
#[derive(Clone, Debug)]
pub(super) enum Cgroups {
    /// The folder of each hierarchy.
    V1(BTreeSet<PathBuf>),
    /// The only one.
    V2 {
        /// Its folder.
        root: PathBuf,
        /// What to write to give a group's children all that nodes need.
        enable: String,
    },
}

// === impl Cgroups ===

impl Cgroups {
    /// Looks which ones there are.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if they do not do.
    pub(super) fn detect() -> Result<Self, Error> {
        let path = "/proc/self/mounts";
        let mounts = fs::read_to_string(path).map_err(Error::file("read", path))?;
        // Only version 2 has this file.
        let controllers = fs::read_to_string(Path::new(ROOT).join("cgroup.controllers"));
        let found = Self::among(&mounts, &controllers.unwrap_or_default());
        found.map_err(|why| Error::Unavailable(format!("control groups: {why}")))
    }

    /// Those that are mounted; `controllers` is what a version 2 says that it has.
    fn among(mounts: &str, controllers: &str) -> Result<Self, String> {
        let mut hierarchies = BTreeSet::new();
        let mut missing: BTreeSet<&str> = CONTROLLERS.into_iter().chain(ONLY_V1).collect();
        for mount in mounts.lines() {
            let words: Vec<&str> = mount.split(' ').collect();
            let [_, at, kind, options, ..] = words[..] else {
                continue;
            };
            match kind {
                "cgroup2" if at == ROOT => return Self::v2(controllers),
                // Version 1 may have a version 2 without controllers beside it.
                "cgroup" | "cgroup2" => {
                    hierarchies.insert(PathBuf::from(at));
                    missing.retain(|one| !options.split(',').any(|has| has == *one));
                }
                _ => {}
            }
        }
        check_none(missing)?;
        Ok(Self::V1(hierarchies))
    }

    fn v2(controllers: &str) -> Result<Self, String> {
        let has: BTreeSet<&str> = controllers.split_whitespace().collect();
        let needed = BTreeSet::from(CONTROLLERS);
        check_none(needed.difference(&has).copied().collect())?;
        let wanted = CONTROLLERS.into_iter().chain([IF_V2_HAS_IT]);
        let wanted = wanted.filter(|one| has.contains(one));
        let enable: Vec<String> = wanted.map(|one| format!("+{one}")).collect();
        Ok(Self::V2 {
            root: PathBuf::from(ROOT),
            enable: enable.join(" "),
        })
    }

    /// Makes the groups of a node; gives the files in which its first process writes `0` to be in
    /// them, and its children with it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where we may not, as in most containers.
    pub(super) fn make(&self, id: Id, node: &str) -> Result<PathBuf, Error> {
        let made = match self {
            Self::V1(hierarchies) => make_v1(hierarchies, id, node),
            Self::V2 { root, enable } => make_v2(root, enable, id, node),
        };
        made.map_err(|error| Error::Unavailable(format!("no control group {id}/{node}: {error}")))
    }

    /// Kills everything in the groups of a cluster, and removes them.
    ///
    /// # Errors
    ///
    /// Something does not end.
    pub(super) fn remove(&self, id: Id) -> Result<(), Error> {
        let since = Instant::now();
        let groups: Vec<PathBuf> = self.roots().map(|root| root.join(id.group())).collect();
        loop {
            let pids: BTreeSet<i32> = groups.iter().flat_map(|group| pids_below(group)).collect();
            if pids.is_empty() {
                break;
            }
            for pid in pids.into_iter().filter_map(Pid::from_raw) {
                // It fails only where it has ended already.
                kill_process(pid, Signal::KILL).unwrap_or_default();
            }
            if since.elapsed() > KILL_LIMIT {
                return Err(Error::Late {
                    what: format!("the end of what runs in control group {}", id.group()),
                    limit: KILL_LIMIT,
                    last: "processes ignore SIGKILL".to_owned(),
                });
            }
            wait();
        }
        for group in groups.iter().filter(|group| group.exists()) {
            remove_below(group).map_err(Error::file("remove", group))?;
        }
        Ok(())
    }

    /// The process ids in the group of a container, which has its id for a name.
    pub(super) fn of_container(&self, id: Id, container: &str) -> Vec<u32> {
        let mut groups = self.roots().map(|root| root.join(id.group()));
        let found = groups.find_map(|group| find(&group, container));
        let pids = found.iter().flat_map(|group| pids_below(group));
        pids.filter_map(|pid| pid.try_into().ok()).collect()
    }

    fn roots(&self) -> impl Iterator<Item = &PathBuf> {
        let (many, one) = match self {
            Self::V1(hierarchies) => (Some(hierarchies), None),
            Self::V2 { root, .. } => (None, Some(root)),
        };
        many.into_iter().flatten().chain(one)
    }
}

/// An error that names what is missing.
fn check_none(missing: BTreeSet<&str>) -> Result<(), String> {
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<&str> = missing.into_iter().collect();
    Err(format!("{ROOT} has no {}", missing.join(", ")))
}

/// In every hierarchy, because a kubelet wants to find its root in each.
fn make_v1(hierarchies: &BTreeSet<PathBuf>, id: Id, node: &str) -> io::Result<PathBuf> {
    let mut procs = None;
    for root in hierarchies {
        let outer = root.join(id.group());
        let group = outer.join(node);
        fs::create_dir_all(&group)?;
        if root.join("cpuset.cpus").exists() {
            for (from, to) in [(root, &outer), (&outer, &group)] {
                // A new group of this version has no CPU and takes no process.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::write(to.join(file), fs::read(from.join(file))?)?;
                }
            }
        }
        if root.join("pids.max").exists() || outer.join("pids.max").exists() {
            procs = Some(group.join("cgroup.procs"));
        }
    }
    procs.ok_or_else(|| io::Error::other("no hierarchy counts processes"))
}

/// A group with controllers for its children has no processes of its own: those of the node get a group
/// beside its pods.
///
/// What the root gives its children it goes on giving: others may have come to count on it.
fn make_v2(root: &Path, enable: &str, id: Id, node: &str) -> io::Result<PathBuf> {
    let outer = root.join(id.group());
    let group = outer.join(node);
    let processes = group.join("node");
    fs::create_dir_all(&processes)?;
    for parent in [root, &outer, &group] {
        let file = parent.join("cgroup.subtree_control");
        fs::write(&file, enable).map_err(|error| {
            let at = format!("cannot write {enable} to {}: {error}", file.display());
            io::Error::new(error.kind(), at)
        })?;
    }
    Ok(processes.join("cgroup.procs"))
}

/// The kernel tells nobody of the end of a process that is not a child.
#[allow(
    clippy::disallowed_methods,
    reason = "it runs while a cluster is dropped, where nothing can be awaited"
)]
fn wait() {
    std::thread::sleep(POLL);
}

fn children(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten();
    let folders = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.file_type().ok()?.is_dir().then(|| entry.path())
    });
    folders.collect()
}

/// What cannot be read has gone.
fn pids_below(group: &Path) -> Vec<i32> {
    let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let own = procs.lines().filter_map(|line| line.parse().ok());
    let below = children(group);
    own.chain(below.iter().flat_map(|child| pids_below(child)))
        .collect()
}

fn find(group: &Path, name: &str) -> Option<PathBuf> {
    children(group).into_iter().find_map(|child| {
        let is_it = child.file_name().is_some_and(|found| found == name);
        if is_it {
            Some(child)
        } else {
            find(&child, name)
        }
    })
}

fn remove_below(group: &Path) -> io::Result<()> {
    children(group)
        .iter()
        .try_for_each(|child| remove_below(child))?;
    // Only an empty folder of this kind can be removed, its files go with it.
    fs::remove_dir(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
        cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n\
        cgroup /sys/fs/cgroup/devices cgroup rw,devices 0 0\n\
        cgroup /sys/fs/cgroup/freezer cgroup rw,freezer 0 0\n\
        cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

    /// A Debian 12 as systemd sets it up.
    const V2: &str = "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n\
        cgroup2 /sys/fs/cgroup cgroup2 \
        rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n";

    #[test]
    fn the_version_is_what_is_mounted() {
        let pids = "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n";
        let v1 = Cgroups::among(&format!("{V1}{pids}"), "");
        assert!(matches!(v1, Ok(Cgroups::V1(all)) if all.len() == 8));
        let half = Cgroups::among(V1, "");
        assert_eq!(half.unwrap_err(), "/sys/fs/cgroup has no pids");
    }

    #[test]
    fn children_of_a_version_2_get_what_a_kubelet_wants_and_the_machine_has() {
        let rows = [
            // Debian's kernel.
            (
                "cpuset cpu io memory hugetlb pids rdma misc\n",
                Ok("+cpu +cpuset +memory +pids +hugetlb"),
            ),
            // One without huge pages.
            ("cpuset cpu memory pids\n", Ok("+cpu +cpuset +memory +pids")),
            // One that was told `cgroup_disable=memory`.
            ("cpuset cpu io pids\n", Err("/sys/fs/cgroup has no memory")),
        ];
        for (controllers, expected) in rows {
            let enabled = Cgroups::among(V2, controllers).map(|found| match found {
                Cgroups::V2 { enable, .. } => enable,
                Cgroups::V1(all) => format!("{all:?}"),
            });
            assert_eq!(enabled, expected.map(str::to_owned).map_err(str::to_owned));
        }
    }
}
