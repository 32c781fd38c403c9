//! The behaviour seen on Linux 6.1 and 6.12 with a kernel target, row by row.

mod replay;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::sim::world::{Config, World};

const SLOT: &str = "csi-1";
const BOTH: [Kernel; 2] = [Kernel::V6_1, Kernel::V6_12];

/// A device with volumes, changed only by the commands a driver would send.
struct Rig {
    world: Arc<World>,
}

impl Rig {
    async fn new() -> Self {
        let rig = Self {
            world: World::new(Config::default()),
        };
        rig.add(SLOT).await;
        rig
    }

    async fn add(&self, slot: &str) {
        self.run(&format!(
            "/disk add type=file slot={slot} file-path=\"/storage-pool/metal-csi/{slot}.img\" \
             file-size=1048576 mount-filesystem=no nvme-tcp-export=no \
             nvme-tcp-server-nqn=\"{}\" nvme-tcp-server-allow-host-name=\"nobody\"",
            subsystem(slot, "free")
        ))
        .await;
    }

    async fn set(&self, slot: &str, what: &str) {
        self.run(&format!("/disk set [find where slot=\"{slot}\"] {what}"))
            .await;
    }

    async fn run(&self, line: &str) {
        let output = self.world.exec("test", line).await;
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{line}");
    }

    /// Names of an attachment, set while not exported, then exported.
    async fn grant(&self, slot: &str, subsystem_tail: &str, host: &str) -> PublishContext {
        let subsystem = subsystem(slot, subsystem_tail);
        let names = format!(
            "nvme-tcp-server-nqn=\"{subsystem}\" nvme-tcp-server-allow-host-name=\"{host}\""
        );
        self.set(slot, &names).await;
        self.set(slot, "nvme-tcp-export=yes").await;
        context(&subsystem, host)
    }

    async fn revoke(&self, slot: &str) {
        self.set(slot, "nvme-tcp-export=no").await;
    }

    fn machine(&self, name: &str, kernel: Kernel) -> Arc<Machine> {
        self.machine_of(MachineConfig::new(name, kernel))
    }

    fn machine_of(&self, config: MachineConfig) -> Arc<Machine> {
        Arc::new(Machine::new(config, Arc::clone(&self.world)))
    }

    /// What the volume holds, as the stamp's text.
    fn content(&self, slot: &str) -> String {
        let stamp = self.world.read_backing(slot, 0);
        stamp.map_or_else(String::new, |stamp| {
            String::from_utf8_lossy(stamp.as_bytes()).into_owned()
        })
    }
}

fn subsystem(slot: &str, tail: &str) -> String {
    format!("nqn.2000-02.com.mikrotik:{slot}:{tail}")
}

fn context(subsystem: &str, host: &str) -> PublishContext {
    [
        ("nvme_address", "127.0.0.1"),
        ("nvme_port", "4420"),
        ("nvme_nqn", subsystem),
        ("nvme_hostnqn", host),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn refused(subsystem_tail: &str, refusal: ConnectRefusal) -> Result<(), ConnectError> {
    Err(ConnectError::Refused {
        subsystem: subsystem(SLOT, subsystem_tail),
        refusal,
    })
}

#[tokio::test]
async fn t0_t1_the_allow_list_compares_host_names_at_connect() {
    let rig = Rig::new().await;
    let unknown = context(&subsystem(SLOT, "1"), "host-a");
    let machine = rig.machine("a", Kernel::V6_12);
    let answer = machine.connect_only(&unknown);
    assert_eq!(answer, refused("1", ConnectRefusal::UnknownSubsystem));

    let granted = rig.grant(SLOT, "1", "host-a").await;
    let other = context(&subsystem(SLOT, "1"), "host-b");
    let answer = machine.connect_only(&other);
    assert_eq!(answer, refused("1", ConnectRefusal::HostNotAllowed));
    machine.connect_only(&granted).unwrap();
    assert_eq!(machine.write(SLOT), Written::Done);
    assert_eq!(rig.content(SLOT), "a:csi-1:1");
}

#[tokio::test]
async fn t2_one_machine_may_use_another_host_name_for_each_volume() {
    let rig = Rig::new().await;
    rig.add("csi-2").await;
    let machine = rig.machine("a", Kernel::V6_1);
    machine
        .stage(&rig.grant(SLOT, "1", "host-1").await)
        .unwrap();
    machine
        .stage(&rig.grant("csi-2", "1", "host-2").await)
        .unwrap();
    assert_eq!(machine.view().live_paths(), 2);
    assert_eq!(machine.write("csi-2"), Written::Done);
    assert_eq!(rig.content(SLOT), "");
}

#[tokio::test]
async fn t3_t4_changing_the_allow_list_alone_makes_two_writers() {
    let rig = Rig::new().await;
    let (a, b) = (
        rig.machine("a", Kernel::V6_12),
        rig.machine("b", Kernel::V6_12),
    );
    a.stage(&rig.grant(SLOT, "1", "host-a").await).unwrap();
    rig.set(SLOT, "nvme-tcp-server-allow-host-name=\"host-b\"")
        .await;
    a.notice();
    assert_eq!(a.write(SLOT), Written::Done);
    b.stage(&context(&subsystem(SLOT, "1"), "host-b")).unwrap();
    assert_eq!(
        (a.write(SLOT), b.write(SLOT)),
        (Written::Done, Written::Done)
    );
    assert_eq!(rig.world.second_writers().len(), 1);
}

#[tokio::test]
async fn t5_t6_export_off_ends_sessions_and_only_the_allowed_host_comes_back() {
    for kernel in BOTH {
        let rig = Rig::new().await;
        let patient = |name| {
            let config = MachineConfig::new(name, kernel);
            rig.machine_of(config.with_ctrl_loss_tmo(Duration::from_secs(25)))
        };
        let (a, b) = (patient("a"), patient("b"));
        a.stage(&rig.grant(SLOT, "1", "host-a").await).unwrap();
        rig.set(SLOT, "nvme-tcp-server-allow-host-name=\"host-b\"")
            .await;
        b.stage(&context(&subsystem(SLOT, "1"), "host-b")).unwrap();

        rig.revoke(SLOT).await;
        assert_eq!(rig.world.sessions().len(), 0);
        assert_eq!(a.write(SLOT), Written::Queued);
        b.notice();
        assert_eq!(b.view().live_paths(), 0);

        rig.set(SLOT, "nvme-tcp-export=yes").await;
        b.reconnect_now();
        assert_eq!(b.write(SLOT), Written::Done, "{kernel:?}");
        // 25 s in steps of 10 s are three attempts; 6.12 believes the first answer.
        let attempts = if kernel == Kernel::V6_1 { 3 } else { 1 };
        for attempt in 1..=attempts {
            assert_eq!(a.view().controllers.len(), 1, "{kernel:?} before {attempt}");
            a.reconnect_now();
        }
        let view = a.view();
        assert_eq!((view.controllers.len(), view.failed), (0, 1), "{kernel:?}");
        assert_eq!(a.write(SLOT), Written::NoDevice);
        assert_eq!(rig.content(SLOT), "b:csi-1:1");
    }
}

#[tokio::test]
async fn a_fenced_6_1_without_loss_timeout_asks_for_ever_and_its_writes_hang() {
    let rig = Rig::new().await;
    let machine = rig.machine("a", Kernel::V6_1);
    machine
        .stage(&rig.grant(SLOT, "1", "host-a").await)
        .unwrap();
    rig.revoke(SLOT).await;
    machine.write(SLOT);
    for _ in 0..100 {
        machine.reconnect_now();
    }
    let view = machine.view();
    assert_eq!(
        (view.controllers.len(), view.queued(), view.failed),
        (1, 1, 0)
    );
    // Asked by name, the same grant still brings it back.
    rig.set(SLOT, "nvme-tcp-export=yes").await;
    machine.reconnect_now();
    assert_eq!(machine.view().done, 1);
}

#[tokio::test]
async fn a_target_that_is_down_is_asked_again_by_both_kernels() {
    for kernel in BOTH {
        let rig = Rig::new().await;
        let machine = rig.machine("a", kernel);
        let granted = rig.grant(SLOT, "1", "host-a").await;
        machine.stage(&granted).unwrap();
        rig.world.set_power(false);
        machine.reconnect_now();
        assert_eq!(machine.view().controllers.len(), 1, "{kernel:?}");
        let waiting = Err(ConnectError::Reconnecting(subsystem(SLOT, "1")));
        assert_eq!(machine.stage(&granted), waiting);
        rig.world.set_power(true);
        machine.reconnect_now();
        assert_eq!(machine.write(SLOT), Written::Done, "{kernel:?}");
    }
}

#[tokio::test]
async fn t7_one_host_name_has_one_host_id() {
    let rig = Rig::new().await;
    rig.grant(SLOT, "1", "host-a").await;
    let machine = rig.machine("a", Kernel::V6_12);
    let names = Names::new(&subsystem(SLOT, "1"), "host-a");
    machine.connect(names.clone()).unwrap();
    let other_id = Names {
        host_id: "another".into(),
        ..Names::new(&subsystem(SLOT, "2"), "host-a")
    };
    let other_name = Names {
        host_nqn: "host-b".into(),
        ..names
    };
    for wrong in [other_id, other_name] {
        let host = wrong.host_nqn.clone();
        assert_eq!(
            machine.connect(wrong),
            Err(ConnectError::HostIdentity(host))
        );
    }
}

#[tokio::test]
async fn a_second_connect_with_the_same_names_is_refused_and_staging_again_is_not() {
    let rig = Rig::new().await;
    let granted = rig.grant(SLOT, "1", "host-a").await;
    let machine = rig.machine("a", Kernel::V6_12);
    machine.stage(&granted).unwrap();
    let session = rig.world.sessions()[0].id;
    let again = Err(ConnectError::AlreadyConnected(subsystem(SLOT, "1")));
    assert_eq!(machine.connect_only(&granted), again);
    machine.stage(&granted).unwrap();
    assert_eq!(rig.world.sessions()[0].id, session);
}

#[tokio::test]
async fn a_partitioned_machine_keeps_its_session_at_the_target_until_told() {
    let rig = Rig::new().await;
    let a = rig.machine("a", Kernel::V6_12);
    let granted = rig.grant(SLOT, "1", "host-a").await;
    a.stage(&granted).unwrap();
    a.partition(true);
    assert_eq!(a.write(SLOT), Written::Queued);
    assert_eq!(rig.world.sessions().len(), 1);
    a.partition(false);
    assert_eq!(
        (a.view().done, a.view().queued()),
        (1, 0),
        "the old session carries it"
    );

    a.partition(true);
    a.write(SLOT);
    a.give_up_sessions();
    a.reconnect_now();
    assert_eq!((a.view().live_paths(), rig.world.sessions().len()), (0, 1));
    a.expire_stale_sessions();
    assert_eq!(rig.world.sessions().len(), 0);
    a.partition(false);
    a.reconnect_now();
    assert_eq!((a.view().done, rig.world.sessions().len()), (2, 1));
}

#[tokio::test]
async fn a_frozen_machine_sends_what_it_had_issued_when_it_goes_on() {
    let rig = Rig::new().await;
    let a = rig.machine("a", Kernel::V6_1);
    let granted = rig.grant(SLOT, "1", "host-a").await;
    a.stage(&granted).unwrap();
    a.freeze(true);
    assert_eq!(a.write(SLOT), Written::Queued);
    assert_eq!(a.connect_only(&granted), Err(ConnectError::Frozen));
    assert_eq!(rig.content(SLOT), "");
    a.freeze(false);
    assert_eq!(rig.content(SLOT), "a:csi-1:1");

    // Revoked meanwhile, the session is gone and the write waits for a path that never comes.
    a.freeze(true);
    a.write(SLOT);
    rig.revoke(SLOT).await;
    a.freeze(false);
    assert_eq!((a.view().queued(), a.view().live_paths()), (1, 0));
    assert_eq!(rig.content(SLOT), "a:csi-1:1");
}

#[tokio::test(start_paused = true)]
async fn the_background_task_reconnects_and_the_writer_stops_when_dropped() {
    let rig = Rig::new().await;
    let a = rig.machine("a", Kernel::V6_1);
    a.stage(&rig.grant(SLOT, "1", "host-a").await).unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(Arc::clone(&a).run(stop.clone()));
    let writer = a.keep_writing(SLOT, Duration::from_millis(100));
    let wait = async |what: &dyn Fn(&MachineView) -> bool| {
        // Time is paused: it moves on only when every task waits.
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !what(&a.view()) {
            ticks.tick().await;
        }
    };
    wait(&|view| view.done >= 3).await;
    rig.revoke(SLOT).await;
    wait(&|view| view.live_paths() == 0 && view.queued() >= 3).await;
    rig.set(SLOT, "nvme-tcp-export=yes").await;
    wait(&|view| view.live_paths() == 1 && view.queued() == 0).await;
    drop(writer);
    let issued = a.view().issued;
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(a.view().issued, issued);
    stop.cancel();
    task.await.unwrap();
}
