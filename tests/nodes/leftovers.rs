//! What is left of a cluster whose owner is killed, and that it can be removed. The owner is this program,
//! started once more.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use testbed::cluster::{Cluster, Options, clean};
use testbed::control_plane::{Options as PlaneOptions, Scope};
use testbed::process::Program;
use testbed::trouble::{Attempt as _, Trouble};
use tokio::runtime::Runtime;

use crate::suite::Ground;

/// Makes this program the owner of a cluster and nothing else.
const OWNER: &str = "RDS_CSI_TEST_OWNS_A_CLUSTER";
/// One node takes ten seconds on two idle cores.
const START_LIMIT: Duration = Duration::from_mins(2);
/// After a SIGKILL.
const END_LIMIT: Duration = Duration::from_secs(20);

/// Whether this process is to be the owner.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(OWNER).is_some()
}

/// Starts a cluster with one node, prints its id, and waits to be killed.
pub(crate) fn own_a_cluster() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime");
    let started = runtime.block_on(Cluster::start(Options {
        nodes: 1,
        plane: PlaneOptions {
            scope: Scope::ApiOnly,
            ..PlaneOptions::stock()
        },
        ..Options::default()
    }));
    match started {
        Ok(cluster) => {
            println!("{}", cluster.id());
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) async fn a_cluster_whose_owner_is_killed_can_be_removed_without_a_trace(
    ground: &Ground,
) -> Result<(), Trouble> {
    let what = || "own a cluster".to_owned();
    let myself = std::env::current_exe().attempt(what)?;
    let home = std::env::var_os("HOME").unwrap_or_default();
    let logs = ground.installed.cluster().folder().logs();
    let owner = Program::new("owner", myself, logs)
        .env(OWNER, "1")
        .env("HOME", home)
        .start()?;
    let id = owner.first_line(START_LIMIT).await?;
    let folders = folders(&id);
    let before = traces(&id, &folders);
    for kind in ["process", "group", "link", "folder"] {
        let is_there = before.iter().any(|trace| trace.starts_with(kind));
        assert!(is_there, "no {kind} among {before:#?}");
    }
    owner.kill()?;
    owner.ended(END_LIMIT).await?;
    let cleaned = tokio::task::spawn_blocking(clean);
    let cleaned = cleaned.await.attempt(what)??;
    assert_eq!(cleaned, std::slice::from_ref(&id));
    assert_eq!(traces(&id, &folders), Vec::<String>::new());
    Ok(())
}

/// The folders that the record of a cluster names.
fn folders(id: &str) -> Vec<String> {
    let record = fs::read_to_string(format!("/run/rds-csi-testbed/{id}")).unwrap_or_default();
    let words = record.split('"').filter(|word| word.starts_with('/'));
    words.map(ToOwned::to_owned).collect()
}

/// Everything on this machine that belongs to a cluster: processes in its control groups, these, links,
/// folders, mounts, and the record.
fn traces(id: &str, folders: &[String]) -> Vec<String> {
    let group = format!("rds-csi-{id}");
    let mut traces = Vec::new();
    let mut note = |kind: &str, what: String| traces.push(format!("{kind} {what}"));
    for name in names("/proc") {
        let groups = fs::read_to_string(format!("/proc/{name}/cgroup")).unwrap_or_default();
        if name.bytes().all(|byte| byte.is_ascii_digit()) && groups.contains(&group) {
            note("process", name);
        }
    }
    let hierarchies = names("/sys/fs/cgroup").into_iter();
    for hierarchy in hierarchies.chain([".".to_owned()]) {
        let path = format!("/sys/fs/cgroup/{hierarchy}/{group}");
        if fs::exists(&path).unwrap_or(true) {
            note("group", path);
        }
    }
    for link in names("/sys/class/net") {
        if link.starts_with(&format!("rds{id}")) {
            note("link", link);
        }
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let record = format!("/run/rds-csi-testbed/{id}");
    for path in folders.iter().chain([&record]) {
        if fs::exists(path).unwrap_or(true) {
            note("folder", path.clone());
        }
        for mount in mounts.lines().filter(|mount| mount.contains(path)) {
            note("mount", mount.to_owned());
        }
    }
    traces
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.collect()
}
