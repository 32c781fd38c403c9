//! Child processes of the test bed: what is seen of them, and that none stays behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of a test crate that are not tests themselves"
)]

use std::path::Path;
use std::time::Duration;

use testbed::error::Error;
use testbed::folder::RunFolder;
use testbed::process::{Child, Program};

#[path = "support/state.rs"]
mod state;

use state::wait_for;

/// Hundreds of times what any of these takes.
const LIMIT: Duration = Duration::from_secs(10);

/// The shell running a script.
fn shell(folder: &RunFolder, script: &str) -> Program {
    Program::new("shell", "/bin/sh", folder.logs()).args(["-c", script])
}

fn start(folder: &RunFolder, script: &str) -> Child {
    shell(folder, script).start().unwrap()
}

/// The process id that a child prints.
async fn printed_pid(child: &Child) -> u32 {
    let line = child.first_line(LIMIT).await.unwrap();
    line.parse().unwrap()
}

#[tokio::test]
async fn an_exit_is_seen_with_its_code() {
    let folder = RunFolder::create("process").unwrap();
    let child = start(&folder, "exit 7");
    let exit = child.ended(LIMIT).await.unwrap();
    assert_eq!(exit.status.code(), Some(7));
    let error = child.check_running().unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    // Its id may be another's by now.
    child.kill().unwrap();
}

#[tokio::test]
async fn what_a_process_leaves_behind_ends_with_it() {
    let folder = RunFolder::create("process").unwrap();
    let child = start(&folder, "sleep 1000 & echo $!; exit 0");
    let left = printed_pid(&child).await;
    child.ended(LIMIT).await.unwrap();
    wait_for(left, |state| state.is_none()).await;
}

#[tokio::test]
async fn a_dropped_child_is_gone_and_so_are_its_children() {
    let folder = RunFolder::create("process").unwrap();
    let child = start(&folder, "sleep 1000 & echo $!; wait");
    let grandchild = printed_pid(&child).await;
    let pid = child.pid();
    drop(child);
    assert_eq!(state::state(pid), None);
    wait_for(grandchild, |state| state.is_none()).await;
}

#[tokio::test]
async fn a_paused_process_hangs_until_it_is_resumed() {
    let folder = RunFolder::create("process").unwrap();
    let child = start(&folder, "echo begun; while :; do sleep 0.01; done");
    child.first_line(LIMIT).await.unwrap();
    child.pause().unwrap();
    wait_for(child.pid(), |state| state == Some('T')).await;
    child.resume().unwrap();
    wait_for(child.pid(), |state| matches!(state, Some('S' | 'R'))).await;
    child.terminate().unwrap();
    let exit = child.ended(LIMIT).await.unwrap();
    assert_eq!(exit.status.code(), None, "a signal ended it");
}

#[tokio::test]
async fn a_process_outlives_the_thread_that_asked_for_it() {
    let folder = RunFolder::create("process").unwrap();
    let program = shell(&folder, "echo begun; sleep 1000");
    let started = std::thread::spawn(move || program.start().unwrap());
    let child = started.join().unwrap();
    child.first_line(LIMIT).await.unwrap();
    let ended = child.ended(Duration::from_millis(200)).await;
    assert!(matches!(ended, Err(Error::Late { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_process_gets_no_environment_but_path_and_what_it_is_given() {
    let folder = RunFolder::create("process").unwrap();
    let program = Program::new("env", "/usr/bin/env", folder.logs()).env("GIVEN", "yes");
    let child = program.start().unwrap();
    child.ended(LIMIT).await.unwrap();
    let printed = std::fs::read_to_string(child.out()).unwrap();
    let mut names: Vec<&str> = printed
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.sort_unstable();
    // The shell in between sets two of its own.
    names.retain(|name| !["PWD", "OLDPWD", "_", "SHLVL"].contains(name));
    assert_eq!(names, ["GIVEN", "PATH"]);
}

#[test]
fn a_program_that_does_not_exist_is_not_started() {
    let folder = RunFolder::create("process").unwrap();
    let nowhere = folder.path().join("nothing-here");
    let started = Program::new("nothing", &nowhere, folder.logs()).start();
    let Err(Error::File { path, .. }) = started else {
        panic!("{started:?}");
    };
    assert_eq!(path, Path::new(&nowhere));
}
