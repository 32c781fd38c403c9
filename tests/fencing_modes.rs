//! Devices that can enforce less: the mode is found at start, calls work in it, and a device that
//! can keep nobody out is not served.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;

use rds_csi::domain::error::Kind;
use rds_csi::domain::leadership::{Epoch, Leadership};
use rds_csi::ports::{Backend as _, Clock as _};
use rds_csi::sim::initiator::Written;
use rds_csi::sim::personality::Personality;

use bed::{Bed, Knobs, Replica, within};

/// Personalities and the mode each of them allows.
fn devices() -> [(&'static str, Personality, &'static str); 6] {
    let older = Personality::v7_12();
    let old_and_fixed = Personality {
        fixed_subsystem_nqn: true,
        ..older.clone()
    };
    [
        ("7.24", Personality::v7_24(), "pair"),
        ("7.16", Personality::v7_16(), "pair"),
        ("7.12, text only", older, "pair"),
        (
            "fixed subsystem name",
            Personality::fixed_subsystem_nqn(),
            "host-nqn",
        ),
        (
            "7.12 with a fixed subsystem name",
            old_and_fixed,
            "host-nqn",
        ),
        (
            "no allow-list",
            Personality::without_allow_host_name(),
            "subsystem-nqn",
        ),
    ]
}

async fn mode(bed: &Bed, replica: &Replica) -> &'static str {
    let permit = Leadership::standalone(Epoch::ZERO).permit(bed.clock.boot());
    let base = "/storage-pool/metal-csi".parse().unwrap();
    let mode = replica.backend.probe_fencing(permit.unwrap(), &base).await;
    mode.unwrap().as_str()
}

#[tokio::test]
async fn the_mode_is_found_and_the_probe_leaves_nothing_behind() {
    for (name, personality, expected) in devices() {
        let bed = Bed::of(personality);
        let before = (bed.world().disks(), bed.world().files());
        let replica = bed.controller().await;
        assert_eq!(mode(&bed, &replica).await, expected, "{name}");
        assert_eq!((bed.world().disks(), bed.world().files()), before, "{name}");
    }
}

#[tokio::test]
async fn volumes_live_their_whole_life_in_every_mode() {
    for (name, personality, _) in devices() {
        let bed = Bed::of(personality);
        let replica = bed.controller().await;
        let id = replica.create("v").await.expect(name);
        for node in ["node-a", "node-b", "node-a"] {
            let told = replica.publish(&id, node).await.expect(name);
            assert_eq!(
                replica.publish(&id, node).await.expect(name),
                told,
                "{name}"
            );
            assert_eq!(replica.holders(&id).await, [node], "{name}");
            let machine = bed.machine(node);
            machine.stage(&told).expect(name);
            assert_eq!(machine.write(id.as_str()), Written::Done, "{name}");

            let refused = replica.publish(&id, "node-c").await.unwrap_err();
            assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{name}: {refused}");
            assert!(refused.context().contains(node), "{name}: {refused}");
            let held = replica.delete(&id).await.unwrap_err();
            assert_eq!(held.kind(), Kind::InUse, "{name}: {held}");

            // A detach of somebody else changes nothing; its own ends the session.
            replica.unpublish(&id, "node-c").await.expect(name);
            assert_eq!(machine.view().live_paths(), 1, "{name}");
            replica.unpublish(&id, node).await.expect(name);
            assert_eq!(bed.world().sessions(), [], "{name}");
            machine.reconnect_now();
            assert_eq!(bed.world().sessions(), [], "{name}: {node} stays out");
        }
        assert_eq!(
            replica.expand(&id, 2 * bed::GIB).await.expect(name),
            2 * bed::GIB
        );
        bed.assert_one_writer(name);
        replica.delete(&id).await.expect(name);
        assert_eq!(bed.holdings(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_node_that_kept_its_names_never_comes_back_in_any_mode() {
    for (name, personality, _) in devices() {
        let bed = Bed::of(personality);
        let replica = bed.controller().await;
        let id = replica.create("v").await.expect(name);
        let old = replica.publish(&id, "node-a").await.expect(name);
        bed.machine("node-a").connect_only(&old).expect(name);
        replica.unpublish(&id, "node-a").await.expect(name);
        let told = replica.publish(&id, "node-b").await.expect(name);
        bed.machine("node-b").stage(&told).expect(name);
        bed.machine("node-a").reconnect_now();
        // A machine that has forgotten its controllers and tries the old names once more.
        bed.machine("node-z").connect_only(&old).unwrap_err();
        assert_eq!(bed.world().sessions().len(), 1, "{name}");
        bed.assert_one_writer(name);
    }
}

#[tokio::test]
async fn a_restarted_controller_knows_the_holder_in_every_mode() {
    for (name, personality, _) in devices() {
        let bed = Bed::of(personality);
        let first = bed.controller().await;
        let id = first.create("v").await.expect(name);
        let told = first.publish(&id, "node-a").await.expect(name);
        bed.machine("node-a").stage(&told).expect(name);
        drop(first);
        let second = bed.controller().await;
        assert_eq!(second.holders(&id).await, ["node-a"], "{name}");
        assert_eq!(
            second.publish(&id, "node-a").await.expect(name),
            told,
            "{name}"
        );
        assert_eq!(bed.machine("node-a").view().live_paths(), 1, "{name}");
        let refused = second.publish(&id, "node-b").await.unwrap_err();
        assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{name}");
    }
}

#[tokio::test]
async fn a_device_that_can_keep_nobody_out_is_not_served() {
    let neither = Personality {
        fixed_subsystem_nqn: true,
        ..Personality::without_allow_host_name()
    };
    let without_package = Personality::without_rose_storage();
    for (name, personality, word) in [
        ("neither", neither, "cannot keep a second node out"),
        ("no package", without_package, "rose-storage"),
    ] {
        let bed = Bed::of(personality);
        let before = (bed.world().disks(), bed.world().files());
        let replica = bed.start(&Knobs::default());
        let said = || async {
            let refused = replica.create("v").await.unwrap_err();
            assert_eq!(refused.kind(), Kind::Unavailable, "{name}: {refused:?}");
            refused.to_string()
        };
        within(async {
            while !said().await.contains(word) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(!replica.volumes.ready(), "{name}");
        assert_eq!((bed.world().disks(), bed.world().files()), before, "{name}");
    }
}
