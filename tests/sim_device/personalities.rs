//! Kinds of devices, and what does not parse on each.

use std::time::Duration;

use rds_csi::sim::personality::{Personality, Policies, Version};
use rds_csi::sim::world::{Config, World};

use super::fixture::{add, device_of, out, quiet, set};

#[tokio::test]
async fn versions_know_what_they_know() {
    let json = ":put [:serialize to=json value=[/disk find where slot=x]]";
    let allow = "/disk/set [find where slot=x] nvme-tcp-server-allow-host-name=a";
    let allow_where = "/disk/print where nvme-tcp-server-allow-host-name=a";
    let subvolume = ":put [/disk/btrfs/subvolume find]";
    let export = "/disk/set [find where slot=x] nvme-tcp-export=no";
    let no_allow = Personality::without_allow_host_name;
    let no_rose = Personality::without_rose_storage;
    let rows = [
        (Personality::v7_24(), json, "[]"),
        (
            Personality::v7_12(),
            json,
            "bad command name serialize (line 1 column 8)",
        ),
        (Personality::v7_24(), allow, ""),
        (
            no_allow(),
            allow,
            "expected end of command (line 1 column 31)",
        ),
        (
            no_allow(),
            allow_where,
            "expected end of command (line 1 column 19)",
        ),
        (Personality::v7_24(), subvolume, ""),
        (
            Personality::v7_16(),
            subvolume,
            "bad command name btrfs (line 1 column 13)",
        ),
        (
            no_rose(),
            subvolume,
            "bad command name btrfs (line 1 column 13)",
        ),
        (
            no_rose(),
            export,
            "expected end of command (line 1 column 31)",
        ),
        (
            Personality::v7_16(),
            ":put [/system/resource/get version]",
            "7.16 (stable)",
        ),
        (
            no_rose(),
            ":put [:len [/system/package find where name=rose-storage]]",
            "0",
        ),
    ];
    for (personality, line, expected) in rows {
        let version = personality.version;
        let text = out(&device_of(personality), line).await;
        assert_eq!(text.trim_end(), expected, "{version} {line}");
    }
}

#[tokio::test]
async fn a_device_without_host_names_does_not_print_them() {
    let world = device_of(Personality::without_allow_host_name());
    quiet(
        &world,
        "/disk/add type=file slot=a file-path=/storage-pool/a.img file-size=1G",
    )
    .await;
    let text = out(&world, "/disk/print detail where slot=a").await;
    assert!(text.contains("nvme-tcp-server-nqn=\"a\"") && !text.contains("allow-host-name"));
}

#[tokio::test]
async fn a_device_with_fixed_names_takes_a_new_one_without_a_word() {
    let world = device_of(Personality::fixed_subsystem_nqn());
    add(&world, "csi-a").await;
    set(
        &world,
        "csi-a",
        "nvme-tcp-server-nqn=\"new\" nvme-tcp-server-allow-host-name=\"h\"",
    )
    .await;
    let disk = world.disk("csi-a").unwrap();
    assert_eq!(
        (disk.subsystem_nqn.as_str(), disk.allow_host_name.as_str()),
        ("sub-csi-a", "h")
    );
}

#[tokio::test]
async fn old_releases_have_no_slot_limit() {
    let slot = "pvc-42f0d924-eb9f-4a5f-a323-112802392ace";
    let line =
        format!("/disk/add type=file slot={slot} file-path=/storage-pool/a.img file-size=1G");
    quiet(&device_of(Personality::v7_16()), &line).await;
    let text = out(&device_of(Personality::v7_24()), &line).await;
    assert_eq!(text, "failure: slot name must not exceed 32 characters\r\n");
}

#[tokio::test]
async fn answers_nobody_has_checked_can_be_either_way() {
    let hidden = Personality {
        shows_unexported_names: false,
        ..Personality::default()
    };
    let world = device_of(hidden);
    add(&world, "csi-a").await;
    let read = "/disk/print detail where slot=csi-a";
    assert!(!out(&world, read).await.contains("nvme-tcp-server-nqn"));
    set(&world, "csi-a", "nvme-tcp-export=yes").await;
    assert!(
        out(&world, read)
            .await
            .contains("nvme-tcp-server-nqn=\"sub-csi-a\"")
    );

    let find = ":put [:len [/disk find where slot=csi-a && comment=\"\"]]";
    assert_eq!(out(&world, find).await, "1\r\n");
    let strict = Personality {
        empty_string_matches: false,
        ..Personality::default()
    };
    world.set_personality(strict);
    assert_eq!(out(&world, find).await, "0\r\n");

    let located = Personality {
        error_location: true,
        ..Personality::default()
    };
    world.set_personality(located);
    let text = out(&world, "/disk/remove missing").await;
    assert_eq!(text, "no such item (/disk/remove; line 1)\r\n");
}

#[tokio::test]
async fn listings_can_have_the_oddities_of_some_releases() {
    let kind = Personality {
        file_legend: true,
        splits_identity: true,
        resource_needs_test: true,
        ..Personality::default()
    };
    let world = device_of(kind);
    let files = out(&world, "/file print detail where type=disk").await;
    assert!(
        files.starts_with("Flags: S - SHARED\r\n 0   name=storage-pool type=disk "),
        "{files}"
    );
    let identity = out(&world, "/system identity print").await;
    assert_eq!(identity, "  name: \r\nrds-sim\r\n\r\n");
    assert_eq!(
        out(&world, ":put [/system identity get name]").await,
        "rds-sim\r\n"
    );
    world.set_policies(
        "csi",
        Policies {
            test: false,
            ..Policies::FULL
        },
    );
    let denied = out(&world, ":put [/system resource get version]").await;
    assert_eq!(denied, "not enough permissions (9)\r\n");
}

#[tokio::test]
async fn subvolumes_need_a_btrfs_pool() {
    let mut config = Config::default();
    for pool in &mut config.pools {
        pool.fs = "xfs".to_owned();
    }
    let world = World::new(config);
    let text = out(&world, "/disk/btrfs/subvolume/add fs=storage-pool name=v").await;
    assert_eq!(text, "failure: not a btrfs file system\r\n");
    let pool = out(
        &world,
        "/disk/print detail where mount-point=\"storage-pool\"",
    )
    .await;
    assert!(
        pool.contains("fs=xfs") && pool.contains("free-inodes="),
        "{pool}"
    );
}

#[tokio::test(start_paused = true)]
async fn traffic_without_once_never_ends() {
    let world = device_of(Personality::default());
    let endless = world.exec("csi", "/disk/monitor-traffic storage-pool");
    let hour = Duration::from_hours(1);
    assert!(tokio::time::timeout(hour, endless).await.is_err());
}

#[test]
fn personalities_are_named_and_read_from_configuration() {
    for name in Personality::NAMES {
        let personality = Personality::named(name).unwrap();
        let json = serde_json::to_string(&personality).unwrap();
        assert_eq!(
            serde_json::from_str::<Personality>(&json).unwrap(),
            personality,
            "{name}"
        );
    }
    let partial = r#"{"version":"7.18.1","slot-limit":null,"exit":"strict"}"#;
    let personality: Personality = serde_json::from_str(partial).unwrap();
    assert_eq!(
        personality.version,
        Version {
            major: 7,
            minor: 18,
            patch: 1
        }
    );
    assert_eq!(personality.slot_limit, None);
    assert!(serde_json::from_str::<Personality>(r#"{"wheels":4}"#).is_err());
    assert_eq!(Personality::named("7.99"), None);
}
