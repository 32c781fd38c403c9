//! A -> B -> A with a write queued on A: harmless through this driver, seen by the observer as soon as
//! any part of the fencing is left out. So the observer can see what the other tests say is not there.

use std::sync::Arc;

use rds_csi::domain::id::VolumeId;
use rds_csi::sim::initiator::{Kernel, Machine, MachineConfig, Written};
use rds_csi::sim::personality::Personality;

use crate::bed::{Bed, Context};

const KERNELS: [Kernel; 2] = [Kernel::V6_1, Kernel::V6_12];

fn machine(bed: &Bed, kernel: Kernel) -> Arc<Machine> {
    bed.sim.add_machine(MachineConfig::new("node-a", kernel))
}

/// A has been told a grant and is cut off while it writes.
fn queue_a_write(a: &Machine, id: &VolumeId, told: &Context) {
    a.connect_only(told).unwrap();
    a.partition(true);
    assert_eq!(a.write(id.as_str()), Written::Queued);
}

/// B writes what must not be lost, and leaves.
fn write_and_leave(bed: &Bed, id: &VolumeId, told: &Context) -> String {
    let b = bed.machine("node-b");
    b.connect_only(told).unwrap();
    assert_eq!(b.write(id.as_str()), Written::Done);
    b.disconnect(id.as_str());
    bed.content(id).unwrap()
}

/// A is back, and its kernel tries everything it knows. It deletes no old controller first.
fn come_back(a: &Machine, told: &Context) {
    a.partition(false);
    a.notice();
    // May be refused, or find that the namespace belongs to the old controller.
    a.connect_only(told).ok();
    a.reconnect_now();
    a.rescan();
}

#[tokio::test]
async fn a_write_queued_before_a_detach_never_lands_after_another_node_wrote() {
    for kernel in KERNELS {
        let bed = Bed::new();
        let replica = bed.controller().await;
        let id = replica.create("v").await.unwrap();
        let a = machine(&bed, kernel);
        queue_a_write(&a, &id, &replica.publish(&id, "node-a").await.unwrap());
        replica.unpublish(&id, "node-a").await.unwrap();
        let told = replica.publish(&id, "node-b").await.unwrap();
        let written = write_and_leave(&bed, &id, &told);
        replica.unpublish(&id, "node-b").await.unwrap();

        come_back(&a, &replica.publish(&id, "node-a").await.unwrap());
        assert_eq!(
            bed.content(&id).as_ref(),
            Some(&written),
            "{kernel:?}: the bytes of B"
        );
        bed.assert_one_writer(&format!("{kernel:?}"));
    }
}

/// What a driver without fresh subsystem names would send.
async fn grant_by_hand(bed: &Bed, id: &VolumeId, subsystem: &str, host: &str) -> Context {
    bed.by_hand(&format!(
        "/disk set [find where slot={id}] nvme-tcp-export=no;\
         /disk set [find where slot={id}] nvme-tcp-server-nqn=\"{subsystem}\" nvme-tcp-server-allow-host-name=\"{host}\";\
         /disk set [find where slot={id}] nvme-tcp-export=yes"
    ))
    .await;
    let rows = [
        ("nvme_address", "127.0.0.1"),
        ("nvme_port", "4420"),
        ("nvme_nqn", subsystem),
        ("nvme_hostnqn", host),
    ];
    rows.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[tokio::test]
async fn the_same_attack_on_a_kept_subsystem_name_is_seen_by_the_observer() {
    for kernel in KERNELS {
        let bed = Bed::new();
        let replica = bed.controller().await;
        let id = replica.create("v").await.unwrap();
        let kept = format!("nqn.2000-02.com.mikrotik:{id}:kept");
        let a = machine(&bed, kernel);
        queue_a_write(
            &a,
            &id,
            &grant_by_hand(&bed, &id, &kept, "nqn.host:a1").await,
        );
        let told = grant_by_hand(&bed, &id, &kept, "nqn.host:b").await;
        let written = write_and_leave(&bed, &id, &told);

        come_back(&a, &grant_by_hand(&bed, &id, &kept, "nqn.host:a2").await);
        assert_ne!(
            bed.content(&id).as_ref(),
            Some(&written),
            "{kernel:?}: B's bytes are lost"
        );
        let replays = bed.world().replayed_writes();
        assert_eq!(replays.len(), 1, "{kernel:?}: {replays:?}");
        assert_eq!(replays[0].writer.machine, "node-a");
        assert_eq!(replays[0].between.machine, "node-b");
    }
}

#[tokio::test]
async fn a_device_that_keeps_sessions_of_an_export_that_is_off_is_seen_by_the_observer() {
    let bed = Bed::of(Personality {
        ends_sessions_on_unexport: false,
        ..Personality::default()
    });
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let told = replica.publish(&id, "node-a").await.unwrap();
    bed.machine("node-a").connect_only(&told).unwrap();
    replica.unpublish(&id, "node-a").await.unwrap();
    let told = replica.publish(&id, "node-b").await.unwrap();
    bed.machine("node-b").connect_only(&told).unwrap();

    let seen = bed.world().second_writers();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].first.machine, "node-a");
    assert_eq!(seen[0].second.machine, "node-b");
}

#[tokio::test]
async fn a_renamed_export_that_was_not_cut_is_seen_by_the_observer() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let told = replica.publish(&id, "node-a").await.unwrap();
    bed.machine("node-a").connect_only(&told).unwrap();
    bed.by_hand(&format!(
        "/disk set [find where slot={id}] nvme-tcp-server-nqn=\"sub\" nvme-tcp-server-allow-host-name=\"nqn.host:b\""
    ))
    .await;
    let mut told = told;
    told.insert("nvme_nqn".to_owned(), "sub".to_owned());
    told.insert("nvme_hostnqn".to_owned(), "nqn.host:b".to_owned());
    bed.machine("node-b").connect_only(&told).unwrap();
    assert_eq!(bed.world().second_writers().len(), 1);
}
