//! The data path, against what the Linux kernel's target was seen to do.

use std::sync::Arc;

use rds_csi::sim::observer::{Event, What};
use rds_csi::sim::personality::{EmptyAllowList, Personality};
use rds_csi::sim::target::{ConnectRefusal, EndReason};
use rds_csi::sim::world::World;

use super::fixture::{add, connect, content, device, device_of, quiet, set, write_now};

const UNKNOWN: Option<ConnectRefusal> = Some(ConnectRefusal::UnknownSubsystem);
const REFUSED: Option<ConnectRefusal> = Some(ConnectRefusal::HostNotAllowed);

/// A volume exported under `sub` to `host`.
async fn grant(world: &Arc<World>, slot: &str, sub: &str, host: &str) {
    let names = format!("nvme-tcp-server-nqn=\"{sub}\" nvme-tcp-server-allow-host-name=\"{host}\"");
    set(world, slot, &names).await;
    set(world, slot, "nvme-tcp-export=yes").await;
}

#[tokio::test]
async fn an_empty_allow_list_admits_as_the_device_is_made() {
    for (empty_allow_list, refusal) in [
        (EmptyAllowList::AnyHost, None),
        (EmptyAllowList::Nobody, REFUSED),
    ] {
        let world = device_of(Personality {
            empty_allow_list,
            ..Personality::default()
        });
        add(&world, "csi-a").await;
        grant(&world, "csi-a", "sub", "").await;
        assert_eq!(connect(&world, "n1", "sub", "anyone").err(), refusal);
    }
}

#[tokio::test]
async fn host_names_decide_and_one_machine_may_have_several() {
    let world = device();
    add(&world, "csi-a").await;
    add(&world, "csi-b").await;
    assert_eq!(
        connect(&world, "n1", "sub-csi-a", "host-free").err(),
        UNKNOWN
    );
    grant(&world, "csi-a", "sub-a", "A").await;
    grant(&world, "csi-b", "sub-b", "A2").await;
    assert_eq!(connect(&world, "n2", "sub-a", "B").err(), REFUSED);
    assert_eq!(connect(&world, "n1", "sub-a", "a").err(), REFUSED);
    assert_eq!(connect(&world, "n1", "sub-a", "A").err(), None);
    assert_eq!(connect(&world, "n1", "sub-b", "A2").err(), None);
    assert_eq!(world.sessions().len(), 2);
}

#[tokio::test]
async fn changing_names_alone_is_no_fence() {
    let world = device();
    add(&world, "csi-a").await;
    grant(&world, "csi-a", "sub", "A").await;
    let a = connect(&world, "n1", "sub", "A").unwrap();
    set(&world, "csi-a", "nvme-tcp-server-allow-host-name=\"B\"").await;
    world.write(a, write_now(&world, "still here")).unwrap();
    let b = connect(&world, "n2", "sub", "B").unwrap();
    world.write(b, write_now(&world, "second writer")).unwrap();
    world.write(a, write_now(&world, "over it")).unwrap();
    let overlaps = world.second_writers();
    assert_eq!(overlaps.len(), 1);
    assert_eq!(
        (&*overlaps[0].first.machine, &*overlaps[0].second.machine),
        ("n1", "n2")
    );
    assert_eq!(overlaps[0].until_seq, None);
    set(&world, "csi-a", "nvme-tcp-server-nqn=\"renamed\"").await;
    assert_eq!(world.sessions().len(), 2);
    assert_eq!(connect(&world, "n3", "sub", "B").err(), UNKNOWN);
    world.disconnect(a);
    assert!(world.second_writers()[0].until_seq.is_some());
}

#[tokio::test]
async fn taking_the_export_away_ends_every_session_at_once() {
    let world = device();
    add(&world, "csi-a").await;
    add(&world, "csi-b").await;
    grant(&world, "csi-a", "sub-a", "A").await;
    grant(&world, "csi-b", "sub-b", "A").await;
    let mut events = world.subscribe();
    let a = connect(&world, "n1", "sub-a", "A").unwrap();
    let other = connect(&world, "n1", "sub-b", "A").unwrap();
    set(&world, "csi-a", "nvme-tcp-export=no").await;
    assert!(world.write(a, write_now(&world, "late")).is_err());
    assert!(world.read(a, 0).is_err());
    world.write(other, write_now(&world, "fine")).unwrap();
    let ended = Event::SessionEnded {
        session: a,
        why: EndReason::ExportOff,
    };
    let expected = [Event::SessionOpened(a), Event::SessionOpened(other), ended];
    for event in expected {
        assert_eq!(events.try_recv().unwrap(), event);
    }
    // Exported again for B only: B comes, A is turned away on every attempt.
    grant(&world, "csi-a", "sub-a", "B").await;
    assert_eq!(connect(&world, "n2", "sub-a", "B").err(), None);
    assert_eq!(connect(&world, "n1", "sub-a", "A").err(), REFUSED);
    assert_eq!(connect(&world, "n1", "sub-a", "A").err(), REFUSED);
    assert!(world.second_writers().is_empty());
}

#[tokio::test]
async fn everything_that_ends_service_ends_sessions() {
    let rows = [
        ("/disk/set csi-a nvme-tcp-export=no", EndReason::ExportOff),
        ("/disk/disable csi-a", EndReason::ExportOff),
        ("/disk/remove csi-a", EndReason::EntryRemoved),
    ];
    for (line, reason) in rows {
        let world = device();
        add(&world, "csi-a").await;
        grant(&world, "csi-a", "sub", "A").await;
        let session = connect(&world, "n1", "sub", "A").unwrap();
        quiet(&world, line).await;
        assert!(
            world.write(session, write_now(&world, "late")).is_err(),
            "{line}"
        );
        let why = world.log(0).into_iter().find_map(|entry| match entry.what {
            What::SessionEnded { why, .. } => Some(why),
            _ => None,
        });
        assert_eq!(why, Some(reason), "{line}");
    }
}

#[tokio::test]
async fn a_reboot_ends_sessions_and_keeps_configuration_and_data() {
    let world = device();
    add(&world, "csi-a").await;
    grant(&world, "csi-a", "sub", "A").await;
    let session = connect(&world, "n1", "sub", "A").unwrap();
    world.write(session, write_now(&world, "data")).unwrap();
    let before = world.disks();
    world.set_power(false);
    assert!(world.write(session, write_now(&world, "late")).is_err());
    assert_eq!(
        connect(&world, "n1", "sub", "A").err(),
        Some(ConnectRefusal::Down)
    );
    let dead = world.exec("csi", ":put alive").await;
    assert_eq!((dead.stdout.len(), dead.exit), (0, None));
    world.set_power(true);
    assert_eq!(world.disks(), before);
    assert_eq!(content(&world, "csi-a").as_deref(), Some("data"));
    assert_eq!(connect(&world, "n1", "sub", "A").err(), None);
}

#[tokio::test]
async fn a_device_that_keeps_sessions_shows_a_second_writer() {
    let kind = Personality {
        ends_sessions_on_unexport: false,
        ..Personality::default()
    };
    let world = device_of(kind);
    add(&world, "csi-a").await;
    grant(&world, "csi-a", "sub-1", "A").await;
    let a = connect(&world, "n1", "sub-1", "A").unwrap();
    set(&world, "csi-a", "nvme-tcp-export=no").await;
    grant(&world, "csi-a", "sub-2", "B").await;
    connect(&world, "n2", "sub-2", "B").unwrap();
    world.write(a, write_now(&world, "never fenced")).unwrap();
    assert_eq!(world.second_writers().len(), 1);
}

#[tokio::test]
async fn a_write_issued_before_another_session_and_accepted_after_it_is_a_replay() {
    let world = device();
    add(&world, "csi-a").await;
    grant(&world, "csi-a", "sub-1", "A").await;
    let a = connect(&world, "n1", "sub-1", "A").unwrap();
    let queued = write_now(&world, "OLD");
    set(&world, "csi-a", "nvme-tcp-export=no").await;
    assert!(world.write(a, queued.clone()).is_err());
    grant(&world, "csi-a", "sub-2", "B").await;
    let b = connect(&world, "n2", "sub-2", "B").unwrap();
    world.write(b, write_now(&world, "NEW")).unwrap();
    set(&world, "csi-a", "nvme-tcp-export=no").await;
    grant(&world, "csi-a", "sub-1", "A2").await;
    let again = connect(&world, "n1", "sub-1", "A2").unwrap();
    assert!(world.replayed_writes().is_empty());
    world.write(again, queued).unwrap();
    assert_eq!(content(&world, "csi-a").as_deref(), Some("OLD"));
    let replays = world.replayed_writes();
    assert_eq!(replays.len(), 1);
    let replay = &replays[0];
    assert_eq!(
        (&*replay.writer.machine, &*replay.between.machine),
        ("n1", "n2")
    );
    assert!(replay.issued_seq < replay.opened_seq && replay.opened_seq < replay.accepted_seq);
    assert!(world.second_writers().is_empty());
    // What the machine writes from now on is its right.
    world.write(again, write_now(&world, "newer")).unwrap();
    assert_eq!(world.replayed_writes().len(), 1);
}

#[tokio::test]
async fn own_sessions_in_between_are_no_replay() {
    let world = device();
    add(&world, "csi-a").await;
    grant(&world, "csi-a", "sub-1", "A").await;
    connect(&world, "n1", "sub-1", "A").unwrap();
    let queued = write_now(&world, "queued over a reconnect");
    world.reboot();
    let again = connect(&world, "n1", "sub-1", "A").unwrap();
    world.write(again, queued).unwrap();
    assert!(world.replayed_writes().is_empty());
}

#[tokio::test]
async fn options_refuse_removal_and_kick_hosts() {
    let kind = Personality {
        refuses_remove_while_connected: true,
        ends_sessions_on_allow_change: true,
        refuses_remove_of_used_file: true,
        ..Personality::default()
    };
    let world = device_of(kind);
    add(&world, "csi-a").await;
    grant(&world, "csi-a", "sub", "A").await;
    let a = connect(&world, "n1", "sub", "A").unwrap();
    let in_use = super::fixture::out(&world, "/disk/remove csi-a").await;
    assert_eq!(in_use, "failure: disk is in use\r\n");
    let file = "/file/remove [find where name=\"storage-pool/metal-csi/csi-a.img\"]";
    assert_eq!(
        super::fixture::out(&world, file).await,
        "failure: file is in use\r\n"
    );
    set(&world, "csi-a", "nvme-tcp-server-allow-host-name=\"B\"").await;
    assert!(world.write(a, write_now(&world, "late")).is_err());
    quiet(&world, "/disk/remove csi-a").await;
}

#[tokio::test]
async fn an_older_configuration_brings_old_grants_back_and_keeps_data() {
    let world = device();
    add(&world, "csi-a").await;
    grant(&world, "csi-a", "sub-1", "A").await;
    let older = world.snapshot();
    set(&world, "csi-a", "nvme-tcp-export=no").await;
    grant(&world, "csi-a", "sub-2", "B").await;
    let b = connect(&world, "n2", "sub-2", "B").unwrap();
    world.write(b, write_now(&world, "NEW")).unwrap();
    add(&world, "csi-b").await;
    let newest = world.disk("csi-b").unwrap().id;
    world.restore(&older);
    assert!(world.sessions().is_empty());
    assert_eq!(world.disk("csi-a").unwrap().subsystem_nqn, "sub-1");
    assert_eq!(world.disk("csi-b"), None);
    assert!(
        world
            .files()
            .contains(&"storage-pool/metal-csi/csi-b.img".to_owned())
    );
    assert_eq!(content(&world, "csi-a").as_deref(), Some("NEW"));
    add(&world, "csi-c").await;
    assert!(world.disk("csi-c").unwrap().id > newest);
}
