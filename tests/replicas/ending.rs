//! A leader that is asked to end, told to end at once, or killed.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rds_csi::workload::cluster::{Blow, LeaseTimes};
use rds_csi::workload::provisioner::Provisioner;
use rds_csi::workload::way::Condition;
use tokio::process::Command;
use tokio::time::{Instant, interval, timeout};

use crate::rig::{HANG, POLL, Rig, TIMES};

#[tokio::test]
async fn a_killed_leader_is_replaced_and_that_is_told_on_the_lease() {
    let mut rig = Rig::start().await;
    let leader = rig.leader().await;
    let told = rig.elections_told();
    let killed = Instant::now();
    rig.hit(&leader, Blow::Kill);
    let back = rig.back(killed, "killed").await;
    assert_ne!(back.pod, leader);
    rig.until_lease("LeaderElected on it", |_| rig.elections_told() > told)
        .await;
    rig.restart(&leader).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_hands_over_and_ends_well() {
    let mut rig = Rig::start().await;
    for _ in 0..3 {
        let leader = rig.leader().await;
        let asked = Instant::now();
        rig.hit(&leader, Blow::Terminate);
        assert_eq!(rig.ended(&leader).await.code(), Some(0), "{}", rig.logs());
        println!("SIGTERM: ended after {:?}", asked.elapsed());
        let back = rig.back(asked, "SIGTERM").await;
        assert_ne!(back.pod, leader);
        rig.restart(&leader).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_second_signal_ends_a_leader_whose_calls_hang() {
    let mut rig = Rig::start().await;
    let leader = rig.leader().await;
    let only = [leader.clone()];
    rig.set_rds(&only, Condition::Hung);
    rig.lasting(TIMES.retry).await;
    rig.hit(&leader, Blow::Terminate);
    let socket = rig.cluster.replica_mut(&leader).unwrap().socket();
    let asked = Provisioner::new(vec![socket]);
    let mut ticks = interval(POLL);
    while asked.ready().await.is_some() {
        ticks.tick().await;
    }
    assert!(rig.runs(&leader), "it waits for its calls\n{}", rig.logs());
    let again = Instant::now();
    rig.hit(&leader, Blow::Terminate);
    assert_eq!(rig.ended(&leader).await.code(), Some(128 + 15));
    assert!(again.elapsed() < Duration::from_secs(1), "at once");
    rig.set_rds(&only, Condition::Open);
    rig.back(again, "a second SIGTERM").await;
    rig.restart(&leader).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_crashed_process_whose_pod_survives_leads_again_without_waiting_but_not_twice() {
    // Its right lasts for 4 s at least when it is killed, time for the next process to begin.
    let times = LeaseTimes::default();
    let mut rig = Rig::with(|options| {
        options.lease = Some(times);
        options.locks = Some(PathBuf::from("/dev/shm"));
        let after = "--unsafe-short-cut-after=100ms";
        options.arguments.push(after.to_owned());
    })
    .await;
    let leader = rig.leader().await;
    // It has led for 100 ms once a renewal is on record.
    rig.lasting(times.retry * 2).await;
    let before = rig.lease();
    let killed = Instant::now();
    rig.hit(&leader, Blow::Kill);
    rig.restart(&leader).await;
    let back = rig.back(killed, "crashed, the pod survives").await;
    let after = rig.lease();
    assert_eq!(back.pod, leader, "{}", rig.logs());
    assert!(back.ready < times.deadline, "{:?}", back.ready);
    assert_ne!(after.holder, before.holder, "another process");
    assert!(after.epoch > before.epoch, "{after:?}");

    rig.lasting(times.retry * 2).await;
    let killed = Instant::now();
    rig.hit(&leader, Blow::Kill);
    rig.restart(&leader).await;
    let back = rig.back(killed, "crashed again").await;
    assert!(back.ready > times.deadline, "{:?}", back.ready);
    rig.finish().await;
}

/// What a preStop hook does, while the container is still told to live.
async fn drain(socket: PathBuf) -> ExitStatus {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
    let command = command.arg("drain").arg("--control-socket").arg(socket);
    let drained = timeout(HANG, command.stderr(Stdio::null()).status()).await;
    drained.expect("it ends").unwrap()
}

#[tokio::test]
async fn a_leader_that_is_drained_hands_over_and_lives_until_it_is_told_to_end() {
    let mut rig = Rig::start().await;
    let leader = rig.leader().await;
    let replica = rig.cluster.replica_mut(&leader).unwrap();
    let control = replica.control_socket();
    let asked = Instant::now();
    assert!(drain(control).await.success(), "{}", rig.logs());
    let back = rig.back(asked, "drained").await;
    assert_ne!(back.pod, leader);
    assert!(rig.runs(&leader), "it waits for its signal");
    rig.hit(&leader, Blow::Terminate);
    assert_eq!(rig.ended(&leader).await.code(), Some(0), "{}", rig.logs());
    rig.restart(&leader).await;
    rig.finish().await;
}
