//! `rds-csi status`, `explain` and `drain` as processes.

use std::process::Output;
use std::sync::atomic::Ordering;

use tokio::process::Command;

use super::fixture::Replica;

async fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
    command.args(words).env_clear();
    command.output().await.unwrap()
}

/// Runs it; returns whether it went well, and both outputs.
async fn said(words: &[&str]) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = run(words).await;
    let text = [stdout, stderr].concat();
    (status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn an_operator_asks_a_replica_from_the_shell() {
    let replica = Replica::start().await;
    let admin = format!("--admin={}", replica.port);
    let socket = format!("--control-socket={}", replica.socket.display());
    let (admin, socket) = (admin.as_str(), socket.as_str());
    let rows: [(&[&str], bool, &str); 11] = [
        (&["status", admin], true, "role     leader, serves calls"),
        (&["status", socket], true, "leader   controller-0_u_n"),
        (&["status", admin, "--json"], true, r#""epoch":7"#),
        (&["status"], false, "--admin"),
        (&["status", "--admin=127.0.0.1:1"], false, "no replica"),
        (&["explain", admin, "apps/data"], true, "Nobody asks."),
        (
            &["explain", socket, "--json", "apps/data"],
            true,
            r#""pvc":"apps/data""#,
        ),
        (&["explain", admin, "foreign"], false, "no volume of ours"),
        (&["drain", "--control-socket=/none"], false, "cannot drain"),
        (&["drain", admin], false, "--control-socket"),
        (&["drain", socket], true, ""),
    ];
    for (words, good, expected) in rows {
        let (well, text) = said(words).await;
        assert_eq!(well, good, "{words:?}: {text}");
        assert!(text.contains(expected), "{words:?}: {text}");
    }
    assert_eq!(replica.source.drains.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_closed_pipe_ends_a_watch_and_nothing_panics() {
    let replica = Replica::start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
    let admin = format!("--admin={}", replica.port);
    command.args(["status", "--watch", "--json", &admin]);
    command.env_clear().kill_on_drop(true);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut watch = command.spawn().unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(watch.stdout.take().unwrap()));
    for _ in 0..2 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains(r#""role":"leader""#), "{line}");
    }
    drop(lines);
    let output = watch.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("cannot print"),
        "{said}"
    );
}
