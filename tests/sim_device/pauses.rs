//! Lines held between `find` and the verb, while others run.

use std::sync::Arc;
use std::time::Duration;

use rds_csi::sim::gate::{Breakpoints, Held, Point, PointKind};
use rds_csi::sim::observer::{Outcome, What};
use rds_csi::sim::world::{ExecOutput, World};
use tokio::task::JoinHandle;

use super::fixture::{add, connect, device, out, quiet, set};

/// Longest a line may take to its breakpoint.
const SOON: Duration = Duration::from_secs(10);

fn publish(tail: &str) -> String {
    let pair = format!(
        "nvme-tcp-server-nqn=\"sub-{tail}\" && nvme-tcp-server-allow-host-name=\"host-{tail}\""
    );
    format!(
        "/disk set [find where slot=csi-a && nvme-tcp-server-nqn=\"sub-csi-a\" && \
         nvme-tcp-server-allow-host-name=\"host-free\" && nvme-tcp-export=no] \
         nvme-tcp-server-nqn=\"sub-{tail}\" nvme-tcp-server-allow-host-name=\"host-{tail}\";\
         /disk set [find where slot=csi-a && {pair}] nvme-tcp-export=no;\
         /disk set [find where slot=csi-a && {pair} && nvme-tcp-export=no] nvme-tcp-export=yes;\
         :put N"
    )
}

/// A device with one free volume, and a line that will stop where `matches` says.
async fn held_line(
    line: String,
    matches: impl Fn(&Point) -> bool + Send + Sync + 'static,
) -> (Arc<World>, Held, JoinHandle<ExecOutput>) {
    let world = device();
    add(&world, "csi-a").await;
    let gate = Arc::new(Breakpoints::default());
    let held = gate.hold(matches);
    world.set_gate(Some(gate));
    let running = Arc::clone(&world);
    let task = tokio::spawn(async move { running.exec("late", &line).await });
    tokio::time::timeout(SOON, held.arrived())
        .await
        .expect("the line reaches its breakpoint");
    (world, held, task)
}

#[tokio::test]
async fn a_held_set_applies_to_what_it_found_not_to_what_is_true_by_then() {
    // Step, and whether the other line's grant survives the late one.
    for (step, subsystem) in [(0, "sub-1"), (1, "sub-2"), (2, "sub-2")] {
        let at =
            move |point: &Point| point.kind == PointKind::BetweenFindAndSet && point.step == step;
        let (world, held, task) = held_line(publish("1"), at).await;
        // Whatever the late line wrote so far, another owner writes its own pair over it.
        set(&world, "csi-a", "nvme-tcp-export=no").await;
        set(
            &world,
            "csi-a",
            "nvme-tcp-server-nqn=\"sub-2\" nvme-tcp-server-allow-host-name=\"B\"",
        )
        .await;
        set(&world, "csi-a", "nvme-tcp-export=yes").await;
        let session = connect(&world, "n2", "sub-2", "B").unwrap();
        held.release();
        assert_eq!(task.await.unwrap().stdout, b"N\r\n");
        let disk = world.disk("csi-a").unwrap();
        assert_eq!(disk.subsystem_nqn, subsystem, "step {step}");
        // Step 0 renames, step 1 cuts what it found, step 2 opens what it found.
        let (exported, live) = match step {
            0 => (true, false),
            1 => (false, false),
            _ => (true, true),
        };
        assert_eq!(disk.exported, exported, "step {step}");
        let alive = world.sessions().iter().any(|open| open.id == session);
        assert_eq!(alive, live, "step {step}");
    }
}

#[tokio::test]
async fn every_point_of_a_line_can_hold_it() {
    let kinds = [
        PointKind::BeforeCommand,
        PointKind::BetweenFindAndSet,
        PointKind::AfterCommand,
    ];
    for step in 0..3 {
        for kind in kinds {
            let at = move |point: &Point| point.kind == kind && point.step == step;
            let (world, held, task) = held_line(publish("1"), at).await;
            let point = held.arrived().await;
            assert_eq!((point.verb, &*point.user), ("/disk/set", "late"));
            let done = if kind == PointKind::AfterCommand {
                step + 1
            } else {
                step
            };
            let disk = world.disk("csi-a").unwrap();
            assert_eq!(disk.subsystem_nqn == "sub-1", done >= 1, "{kind:?} {step}");
            assert_eq!(disk.exported, done >= 3, "{kind:?} {step}");
            held.release();
            assert_eq!(task.await.unwrap().stdout, b"N\r\n");
            assert!(world.disk("csi-a").unwrap().exported);
        }
    }
}

#[tokio::test]
async fn an_abandoned_line_applies_nothing_further_and_answers_nothing() {
    let at = |point: &Point| point.kind == PointKind::BetweenFindAndSet && point.step == 2;
    let (world, held, task) = held_line(publish("1"), at).await;
    held.abandon();
    let output = task.await.unwrap();
    assert_eq!((output.stdout.len(), output.exit), (0, None));
    let disk = world.disk("csi-a").unwrap();
    assert_eq!(
        (disk.subsystem_nqn.as_str(), disk.exported),
        ("sub-1", false)
    );
}

#[tokio::test]
async fn a_line_does_not_survive_the_boot_it_began_in() {
    let at = |point: &Point| point.kind == PointKind::BetweenFindAndSet && point.step == 0;
    let (world, held, task) = held_line(publish("1"), at).await;
    world.reboot();
    held.release();
    assert_eq!(task.await.unwrap().exit, None);
    assert_eq!(world.disk("csi-a").unwrap().subsystem_nqn, "sub-csi-a");
}

#[tokio::test]
async fn a_dropped_line_stops_and_is_logged_as_abandoned() {
    let at = |point: &Point| point.kind == PointKind::BetweenFindAndSet && point.step == 0;
    let (world, held, task) = held_line(publish("1"), at).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    held.release();
    assert_eq!(world.disk("csi-a").unwrap().subsystem_nqn, "sub-csi-a");
    let last = world.log(0).pop().unwrap();
    let What::Command(command) = last.what else {
        panic!("the last entry is the line")
    };
    assert_eq!(command.outcome, Outcome::Abandoned);
    assert!(command.start_seq < last.seq);
}

#[tokio::test]
async fn an_item_removed_between_find_and_verb_is_no_such_item() {
    for verb in [
        "set [find where slot=csi-a] comment=x",
        "remove [find where slot=csi-a]",
    ] {
        let at = |point: &Point| point.kind == PointKind::BetweenFindAndSet;
        let (world, held, task) = held_line(format!("/disk {verb};:put N"), at).await;
        quiet(&world, "/disk/remove csi-a").await;
        held.release();
        assert_eq!(task.await.unwrap().stdout, b"no such item\r\n");
    }
}

#[tokio::test]
async fn an_add_behind_a_condition_can_be_overtaken() {
    let line = ":if ([:len [/disk find where slot=csi-b]] = 0) do={/disk/add type=file slot=csi-b \
                file-path=/storage-pool/metal-csi/late.img file-size=1G};:put N";
    let at = |point: &Point| point.kind == PointKind::BeforeCommand && point.verb == "/disk/add";
    let (world, held, task) = held_line(line.to_owned(), at).await;
    add(&world, "csi-b").await;
    held.release();
    let text = String::from_utf8(task.await.unwrap().stdout).unwrap();
    assert_eq!(text, "failure: disk with the same name already exists\r\n");
    assert_eq!(
        out(&world, ":put [/file find where name~\"late\"]").await,
        "\r\n"
    );
}
