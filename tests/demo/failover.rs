//! Three controllers whose leader keeps dying: what must be seen, and that nothing else runs on.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::Demo;

/// A hand-over takes under a second; what comes on top is for a machine that is busy with tests.
const HAND_OVER_MS: u64 = 6_000;
/// The lease, 10 s, two more, and as much again for a busy machine.
const TAKE_OVER_MS: u64 = 24_000;

/// Processes whose command line names this folder.
fn running_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("text").to_owned();
    let processes = fs::read_dir("/proc").expect("a process file system");
    let lines = processes.filter_map(|entry| {
        let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&folder)).collect()
}

#[tokio::test]
async fn every_kind_of_failover_is_quick_and_none_lets_a_second_writer_in() {
    let demo = Demo::start(&["--once", "--json"]);
    let folder = demo.temporary.path().to_owned();
    let ended = demo.end().await;
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!((ended.stderr.as_str(), ended.left), ("", 0));
    assert_eq!(running_in(&folder), Vec::<String>::new());

    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(report["ok"], true);
    assert_eq!(report["second_writers"], 0);
    assert_eq!(report["replayed_writes"], 0);
    assert_eq!(report["violations"], Value::Array(Vec::new()));
    assert!(report["attaches"].as_u64() > Some(10), "{report}");
    assert!(report["queued_writes"].as_u64() > Some(0), "{report}");
    let failovers = report["failovers"].as_array().expect("failovers");
    let limits = [
        ("SIGKILL", TAKE_OVER_MS),
        ("SIGSTOP", TAKE_OVER_MS),
        ("SIGTERM", HAND_OVER_MS),
    ];
    assert_eq!(failovers.len(), limits.len(), "{report}");
    let mut epoch = 0;
    for (failover, (kind, limit)) in failovers.iter().zip(limits) {
        assert_eq!(failover["kind"], kind);
        assert!(failover["ms_to_ready"].as_u64() < Some(limit), "{failover}");
        let published = failover["ms_to_first_publish"].as_u64();
        assert!(published >= failover["ms_to_ready"].as_u64(), "{failover}");
        let raised = failover["epoch"].as_u64().expect("an epoch");
        assert!(raised > epoch, "{report}");
        epoch = raised;
    }
}

#[tokio::test]
async fn an_old_write_that_comes_back_is_seen_under_three_controllers_too() {
    let ended = Demo::start(&["--once", "--json", "--sabotage"]).end().await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert_eq!(ended.left, 0);
    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(report["ok"], false);
    assert_eq!(report["replayed_writes"], 1);
    let violations = report["violations"].to_string();
    assert!(violations.contains("replayed writes: 1"), "{violations}");
}

#[tokio::test]
async fn ctrl_c_ends_every_process_of_it_also_one_that_stands_still() {
    for words in ["on the move", "SIGSTOP to"] {
        let mut demo = Demo::start(&[]);
        let folder = demo.temporary.path().to_owned();
        demo.signal_at(words, Signal::INT).await;
        let ended = demo.end().await;
        assert!(ended.status.success(), "{words}: {}", ended.stderr);
        assert!(
            ended.stdout.contains("Stopped."),
            "{words}: {}",
            ended.stdout
        );
        assert_eq!((ended.stderr.as_str(), ended.left), ("", 0), "{words}");
        assert_eq!(running_in(&folder), Vec::<String>::new(), "{words}");
    }
}
