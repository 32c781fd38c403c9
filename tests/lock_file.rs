//! The pod's lock on real mounts, between real processes: what freezes, what dies, what is left.
//!
//! Each test runs itself again in a mount namespace of its own, where it may mount what it needs, and
//! some run themselves once more as another process of the pod.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails by panicking, in its helpers too"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rds_csi::clock::SystemClock;
use rds_csi::domain::election::{HolderId, NoShortCut, ShortCutRules, Tenure};
use rds_csi::lockfile::{LockFile, Refused};
use rds_csi::ports::{Clock, Legacy};
use rustix::process::{Pid, Signal, kill_process};
use testbed::tools::say;

const UID: &str = "a6f1b2c3-6d2c-4c58-9d0a-2f8f0d9b7a11";

/// Where the directory with the mounts is, in the namespace.
const BED: &str = "RDS_CSI_LOCK_TEST_BED";
/// What a process of the pod does.
const LEADS: &str = "RDS_CSI_LOCK_TEST_LEADS";
/// What such a process says once it does.
const READY: &str = "it leads";

/// `volume` is an emptyDir on the node's disk, `lock` is where a container has it mounted, `memory`
/// is one of `medium: Memory`; both in the way of the kubelet.
const MOUNTS: &str = "mkdir volume lock memory && mount -t tmpfs disk volume && mkdir volume/one \
    && mount --bind volume/one lock && mount -t tmpfs -o size=64k memory memory";

fn id(nonce: u64) -> HolderId {
    HolderId::of_process("pod", UID, nonce).unwrap()
}

/// Within the namespace, its directory. Outside, runs the test there and answers `None`.
fn bed(test: &str) -> Option<PathBuf> {
    if let Some(bed) = std::env::var_os(BED) {
        return Some(bed.into());
    }
    let directory = tempfile::tempdir().unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--map-root-user",
                "--",
                "sh",
                "-ec",
                script,
                "sh",
            ])
            .current_dir(&directory);
        command
    };
    let can = unshare(MOUNTS).output();
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!in_ci, "{test} needs a mount namespace: {can:?}");
        say(&format!(
            "skipped: {test}: no mount namespace here: {can:?}"
        ));
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let inside = Command::new("unshare")
        .args(["--mount", "--map-root-user", "--", "sh", "-ec"])
        .arg(format!("{MOUNTS} && exec \"$@\""))
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .current_dir(&directory)
        .env(BED, directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&inside.stdout);
    let complained = String::from_utf8_lossy(&inside.stderr);
    assert!(inside.status.success(), "{told}{complained}");
    assert!(told.contains("1 passed"), "{test} is not its name: {told}");
    None
}

/// A process of the pod that has taken the lock, leads, and has put that on record.
struct Leader(Child);

impl Leader {
    fn start(test: &str, lock: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(LEADS, lock)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line == READY);
        assert!(ready, "{:?}", child.wait());
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Leader {
    /// It dies, frozen or not, and is gone when this returns.
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.0.wait().unwrap();
    }
}

/// The life of such a process, if this is one. It ends by a signal.
async fn lead() {
    let Some(path) = std::env::var_os(LEADS) else {
        return;
    };
    let lock = LockFile::take(Path::new(&path)).unwrap();
    let now = SystemClock.boot();
    let tenure = Tenure {
        holder: id(1),
        began: now,
        renewed: now,
        until: now.after(Duration::from_mins(10)),
    };
    lock.tenure(Some(tenure)).await.unwrap();
    let mut stdout = std::io::stdout();
    write!(stdout, "\n{READY}\n").unwrap();
    stdout.flush().unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_kernel_tells_a_frozen_predecessor_from_a_dead_one() {
    const TEST: &str = "the_kernel_tells_a_frozen_predecessor_from_a_dead_one";
    lead().await;
    let Some(bed) = bed(TEST) else {
        return;
    };
    for place in ["lock", "memory"] {
        let path = bed.join(place).join("leader.lock");
        let leader = Leader::start(TEST, &path);
        let held = || matches!(LockFile::take(&path), Err(Refused::Held(_)));
        assert!(held(), "it runs");
        leader.signal(Signal::STOP);
        assert!(held(), "it is frozen and may wake up");
        drop(leader);
        let lock = LockFile::take(&path).unwrap();
        let now = SystemClock.boot();
        let eager = ShortCutRules {
            led_for: Duration::ZERO,
            apart: Duration::ZERO,
        };
        assert!(lock.predecessor(&id(2), &eager, now).is_ok(), "{place}");
        let told = lock.predecessor(&id(2), &ShortCutRules::default(), now);
        let crash_loop = matches!(told, Err(NoShortCut::LedTooShort { .. }));
        assert!(crash_loop, "{place}: {told:?}");
        assert!(held(), "now it is ours, for life");
    }
}

#[tokio::test]
async fn a_file_that_was_removed_under_its_holder_says_nothing() {
    const TEST: &str = "a_file_that_was_removed_under_its_holder_says_nothing";
    lead().await;
    let Some(bed) = bed(TEST) else {
        return;
    };
    let path = bed.join("lock/leader.lock");
    let leader = Leader::start(TEST, &path);
    leader.signal(Signal::STOP);
    std::fs::remove_file(&path).unwrap();
    // The kernel gives out the lock on the new file, while the predecessor lives.
    let lock = LockFile::take(&path).unwrap();
    let told = lock.predecessor(&id(2), &ShortCutRules::default(), SystemClock.boot());
    assert_eq!(told, Err(NoShortCut::NoRecord));
    drop(leader);
}

#[test]
fn only_a_mount_of_its_own_is_taken() {
    let Some(bed) = bed("only_a_mount_of_its_own_is_taken") else {
        return;
    };
    let rows = [
        ("lock/leader.lock", true),
        ("memory/leader.lock", true),
        // The very same directory, by a way that is no mount.
        ("volume/one/leader.lock", false),
        ("leader.lock", false),
    ];
    for (path, expected) in rows {
        let answer = LockFile::take(&bed.join(path));
        let no_mount = matches!(answer, Err(Refused::NoMount { .. }));
        let fits = if expected { answer.is_ok() } else { no_mount };
        assert!(fits, "{path}: {answer:?}");
    }
}
