//! `rds-csi demo` as a process: what it prints, how it ends, and that it leaves nothing behind.

#![cfg(all(unix, feature = "demo"))]
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "demo/failover.rs"]
mod failover;

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The longest, with three failovers, takes about a minute; three times that is for a machine that is
/// busy with other tests.
const LIMIT: Duration = Duration::from_mins(3);
/// No line is longer, so that it fits a terminal beside something else.
const WIDTH: usize = 110;

/// A demo, and the folder that it takes for the system's temporary one.
struct Demo {
    child: Child,
    temporary: TempDir,
}

struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
    /// Files left in the temporary folder.
    left: usize,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
        // Every flag can come from the environment; a developer's own must not reach the test.
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("RDS_CSI_") {
                command.env_remove(key);
            }
        }
        let child = command
            .arg("demo")
            .args(args)
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        Self { child, temporary }
    }

    /// Reads stdout up to a line with these words, then sends the signal.
    async fn signal_at(&mut self, words: &str, signal: Signal) {
        let stdout = self.child.stdout.as_mut().expect("stdout is piped");
        let mut stdout = BufReader::with_capacity(1, stdout);
        let reached = async {
            let mut line = String::new();
            while !line.contains(words) {
                line.clear();
                let read = stdout.read_line(&mut line).await.expect("text");
                assert!(read > 0, "it ended before {words:?}");
            }
        };
        timeout(LIMIT, reached).await.expect("the line comes");
        let id = self.child.id().expect("it runs");
        let id = Pid::from_raw(i32::try_from(id).expect("a process id")).expect("not zero");
        kill_process(id, signal).expect("it can be signalled");
    }

    async fn end(mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let out = self.child.stdout.as_mut().expect("stdout is piped");
        let err = self.child.stderr.as_mut().expect("stderr is piped");
        let read = async {
            let both = tokio::join!(
                out.read_to_string(&mut stdout),
                err.read_to_string(&mut stderr)
            );
            both.0.and(both.1).expect("text");
        };
        timeout(LIMIT, read).await.expect("it ends");
        let status = self.child.wait().await.expect("a status");
        let left = std::fs::read_dir(self.temporary.path()).expect("the folder");
        Ended {
            status,
            stdout,
            stderr,
            left: left.count(),
        }
    }
}

fn steps<'a>(report: &'a Value, name: &str) -> Vec<&'a Value> {
    let steps = report["steps"].as_array().expect("steps");
    steps.iter().filter(|step| step["name"] == name).collect()
}

#[tokio::test]
async fn once_with_json_prints_one_object_and_finds_nothing() {
    let ended = Demo::start(&["--standalone", "--once", "--json"])
        .end()
        .await;
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!((ended.stderr.as_str(), ended.left), ("", 0));
    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(report["ok"], true);
    assert_eq!(report["second_writers"], 0);
    assert_eq!(report["replayed_writes"], 0);
    assert_eq!(report["violations"], Value::Array(Vec::new()));

    let to_b = steps(&report, "ControllerPublishVolume node-b");
    let codes: Vec<&Value> = to_b.iter().map(|step| &step["code"]).collect();
    assert_eq!(codes, ["FAILED_PRECONDITION", "OK", "OK"]);
    let conflict = to_b[0]["detail"].as_str().expect("a message");
    assert!(conflict.contains("attached to node node-a"), "{conflict}");
    for waited in &to_b[1..] {
        assert!(waited["settled_ms"].as_u64() >= Some(1000), "{waited}");
        assert_eq!(waited["round_trips"], 1, "a publish is one line: {waited}");
    }
    let results = |name: &str| -> Vec<String> {
        let results = steps(&report, name).into_iter();
        results.map(|step| step["result"].to_string()).collect()
    };
    let written = ["\"written\"", "\"written\"", "\"queued\"", "\"written\""];
    assert_eq!(results("node-a writes"), written);
    assert_eq!(results("node-b replays its old pair"), ["\"refused\""]);
    let back = steps(&report, "node-a has its network back");
    assert_eq!(back[0]["result"], "refused");
    assert_eq!(
        back[0]["on_disk"], "node-b #2",
        "the old write did not land"
    );
}

#[tokio::test]
async fn once_tells_the_story_in_lines_that_fit() {
    let ended = Demo::start(&["--standalone", "--once"]).end().await;
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!((ended.stderr.as_str(), ended.left), ("", 0));
    for line in ended.stdout.lines() {
        assert!(line.len() <= WIDTH, "{line}");
        assert!(line.is_ascii() && !line.contains('\x1b'), "{line}");
    }
    for words in [
        "ControllerPublishVolume node-b     FAILED_PRECONDITION",
        "attached to node node-a",
        "prepare > cut > open > read back",
        "cut > free > read back",
        "after the cut: the node before is out by then",
        "node-a writes                    queued",
        "no export has this subsystem name; 1 write waits",
        "nothing is left of it on the RDS",
        "second writers seen by the RDS: 0, replayed writes: 0",
        "SUCCESS",
    ] {
        assert!(ended.stdout.contains(words), "{words}\n{}", ended.stdout);
    }
}

#[tokio::test]
async fn an_old_write_that_comes_back_is_seen_and_fails_the_demo() {
    let ended = Demo::start(&["--standalone", "--once", "--json", "--sabotage"])
        .end()
        .await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert_eq!(ended.left, 0);
    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(report["ok"], false);
    assert_eq!(report["replayed_writes"], 1);
    let violations = report["violations"].to_string();
    assert!(violations.contains("replayed writes: 1"), "{violations}");
    assert!(ended.stderr.contains("violations"), "{}", ended.stderr);
}

#[tokio::test]
async fn it_stops_well_wherever_it_is() {
    for (args, words, signal, last) in [
        (
            &["--standalone"][..],
            "nobody -> node-a",
            Signal::INT,
            "moves: 1, second writers seen by the RDS: 0",
        ),
        (
            &["--standalone", "--once"][..],
            "It moves",
            Signal::TERM,
            "Stopped before",
        ),
    ] {
        let mut demo = Demo::start(args);
        demo.signal_at(words, signal).await;
        let ended = demo.end().await;
        assert!(ended.status.success(), "{words}: {}", ended.stderr);
        assert!(ended.stdout.contains(last), "{words}: {}", ended.stdout);
        assert_eq!((ended.stderr.as_str(), ended.left), ("", 0), "{words}");
    }
}
