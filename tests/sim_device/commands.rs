//! What each verb does, and the text it fails with.

use rds_csi::sim::faults::{DeviceFaults, VerbFailure};
use rds_csi::sim::personality::{Personality, Policies};
use rds_csi::sim::world::{Config, World};

use super::fixture::{
    GIB, add, connect, content, device, device_of, file, out, quiet, set, write_now,
};

#[tokio::test]
async fn failures_are_text_on_stdout() {
    let add_line = |slot: &str, rest: &str| format!("/disk/add type=file slot={slot} {rest}");
    let path = "file-path=/storage-pool/metal-csi/new.img";
    let rows = [
        ("/disk/set missing comment=x".to_owned(), "no such item"),
        ("/disk/set *FF comment=x".to_owned(), "no such item"),
        ("/disk/remove missing".to_owned(), "no such item"),
        ("/disk/set 0 comment=x".to_owned(), "no such item"),
        (
            ":put [/disk get [find where slot=missing] size]".to_owned(),
            "no such item",
        ),
        (
            "/disk/set csi-a nvme-tcp-export=maybe".to_owned(),
            "input does not match any value of nvme-tcp-export",
        ),
        (
            "/disk/set csi-a nvme-tcp-server-port=70000".to_owned(),
            "invalid value for argument nvme-tcp-server-port",
        ),
        (
            "/disk/set csi-a file-size=1".to_owned(),
            "failure: file-size can not be reduced",
        ),
        (
            ":put [/disk get csi-a wheels]".to_owned(),
            "input does not match any value of value-name",
        ),
        (
            "/disk/print where slot~\"(\"".to_owned(),
            "failure: bad regular expression",
        ),
        (
            add_line("csi-a", &format!("{path} file-size=1G")),
            "failure: disk with the same name already exists",
        ),
        (
            add_line(
                "csi-n",
                "file-path=/storage-pool/metal-csi/csi-a.img file-size=1G",
            ),
            "failure: already have such file-path",
        ),
        (
            add_line("csi-n", "file-path=/storage-pool/none/new.img file-size=1G"),
            "failure: no such directory",
        ),
        (
            add_line("csi-n", "file-path=/storage-pool/../new.img file-size=1G"),
            "invalid value for argument file-path",
        ),
        (
            add_line("csi-n", path),
            "failure: missing value of file-size",
        ),
        (
            add_line(&"x".repeat(33), &format!("{path} file-size=1G")),
            "failure: slot name must not exceed 32 characters",
        ),
        (
            "/disk/add slot=csi-n type=tmpfs".to_owned(),
            "input does not match any value of type",
        ),
        (
            "/disk/remove storage-pool".to_owned(),
            "failure: disk is in use",
        ),
        ("/file/remove missing".to_owned(), "no such item"),
    ];
    for (line, error) in rows {
        let world = device();
        add(&world, "csi-a").await;
        let before = (world.disks(), world.files());
        assert_eq!(
            out(&world, &format!("{line};:put N")).await,
            format!("{error}\r\n"),
            "{line}"
        );
        assert_eq!((world.disks(), world.files()), before, "{line}");
    }
}

#[tokio::test]
async fn an_empty_find_makes_set_and_remove_a_silent_success() {
    let world = device();
    add(&world, "csi-a").await;
    for verb in [
        "/disk/set [find where slot=no] comment=x",
        "/disk/remove [find where slot=no]",
    ] {
        assert_eq!(out(&world, &format!("{verb};:put N")).await, "N\r\n");
    }
    assert_eq!(
        out(&world, "/file/remove [find name=\"no\"];:put N").await,
        "N\r\n"
    );
    assert_eq!(world.disks().len(), 2);
}

#[tokio::test]
async fn add_gives_the_documented_defaults() {
    let world = device();
    let line = ":put [/disk/add type=file file-path=storage-pool/x.img file-size=1G]";
    assert_eq!(out(&world, line).await, "*5\r\n");
    let disk = world.disk("file-storage-pool-x.img").unwrap();
    assert_eq!(disk.file_path.as_deref(), Some("/storage-pool/x.img"));
    assert_eq!((disk.size, disk.exported, disk.port), (GIB, false, 4420));
    assert_eq!(
        (disk.subsystem_nqn.as_str(), disk.allow_host_name.as_str()),
        (disk.slot.as_str(), "")
    );
    let text = out(
        &world,
        &format!("/disk/print detail where slot={}", disk.slot),
    )
    .await;
    assert!(text.contains("mount-filesystem=yes"), "{text}");
}

#[tokio::test]
async fn remove_leaves_the_file_and_its_space() {
    let world = device_of(Personality {
        sparse: false,
        ..Personality::default()
    });
    let free = ":put [/disk get storage-pool free]";
    let at_start = out(&world, free).await;
    add(&world, "csi-a").await;
    let with_file = out(&world, free).await;
    assert_ne!(at_start, with_file);
    quiet(&world, "/disk/remove [find where slot=csi-a]").await;
    assert_eq!(world.disk("csi-a"), None);
    assert!(
        world
            .files()
            .contains(&"storage-pool/metal-csi/csi-a.img".to_owned())
    );
    assert_eq!(out(&world, free).await, with_file);
    quiet(
        &world,
        "/file/remove [find where name=\"storage-pool/metal-csi/csi-a.img\"]",
    )
    .await;
    assert_eq!(out(&world, free).await, at_start);
}

#[tokio::test]
async fn ids_are_never_used_twice() {
    let world = device();
    add(&world, "csi-a").await;
    let first = world.disk("csi-a").unwrap().id;
    quiet(&world, "/disk/remove csi-a").await;
    quiet(&world, &format!("/file/remove {}", file("csi-a"))).await;
    add(&world, "csi-a").await;
    assert!(world.disk("csi-a").unwrap().id > first);
}

#[tokio::test]
async fn copy_from_copies_names_but_no_data() {
    for (copies, expected) in [(false, None), (true, Some("old".to_owned()))] {
        let world = device_of(Personality {
            copy_from_copies_data: copies,
            ..Personality::default()
        });
        add(&world, "csi-a").await;
        set(
            &world,
            "csi-a",
            "nvme-tcp-export=yes nvme-tcp-server-allow-host-name=\"\"",
        )
        .await;
        let session = connect(&world, "n1", "sub-csi-a", "h").unwrap();
        world.write(session, write_now(&world, "old")).unwrap();
        set(&world, "csi-a", "nvme-tcp-export=no").await;
        let line = "/disk/add copy-from=[find where slot=csi-a] slot=csi-b \
                    file-path=/storage-pool/metal-csi/b.img";
        quiet(&world, line).await;
        let copy = world.disk("csi-b").unwrap();
        // The trap: the subsystem name of the source leaks into the copy.
        assert_eq!((copy.subsystem_nqn.as_str(), copy.size), ("sub-csi-a", GIB));
        assert_eq!(content(&world, "csi-b"), expected);
    }
}

#[tokio::test]
async fn two_exports_of_one_name_are_refused() {
    let world = device();
    add(&world, "csi-a").await;
    add(&world, "csi-b").await;
    set(&world, "csi-a", "nvme-tcp-export=yes").await;
    set(&world, "csi-b", "nvme-tcp-server-nqn=\"sub-csi-a\"").await;
    let text = out(&world, "/disk/set csi-b nvme-tcp-export=yes").await;
    assert_eq!(text, "failure: already have such nvme-tcp-server-nqn\r\n");
    assert!(!world.disk("csi-b").unwrap().exported);
}

#[tokio::test]
async fn growing_works_while_exported_and_shrinking_only_where_allowed() {
    let world = device();
    add(&world, "csi-a").await;
    set(&world, "csi-a", "nvme-tcp-export=yes").await;
    quiet(
        &world,
        "/disk set [find where slot=csi-a && size<2147483648] file-size=2147483648",
    )
    .await;
    quiet(
        &world,
        "/disk set [find where slot=csi-a && size<2147483648] file-size=2147483648",
    )
    .await;
    assert_eq!(world.disk("csi-a").unwrap().size, 2 * GIB);
    world.set_personality(Personality {
        shrinks: true,
        ..Personality::default()
    });
    quiet(&world, "/disk set csi-a file-size=1G").await;
    assert_eq!(world.disk("csi-a").unwrap().size, GIB);
}

#[tokio::test]
async fn a_full_pool_refuses_add_and_growth() {
    let mut config = Config::of(Personality {
        sparse: false,
        ..Personality::default()
    });
    for pool in &mut config.pools {
        (pool.size, pool.free) = (4 * GIB, GIB + GIB / 2);
    }
    let world = World::new(config);
    add(&world, "csi-a").await;
    let line = "/disk/add type=file slot=b file-path=/storage-pool/b.img file-size=1G";
    assert_eq!(out(&world, line).await, "failure: not enough space\r\n");
    assert_eq!(
        out(&world, "/disk/set csi-a file-size=2G").await,
        "failure: not enough space\r\n"
    );
    assert_eq!(world.disk("csi-a").unwrap().size, GIB);
    assert_eq!(world.disk("b"), None);
}

#[tokio::test]
async fn a_kept_file_is_attached_with_its_data() {
    let world = device();
    add(&world, "csi-a").await;
    set(
        &world,
        "csi-a",
        "nvme-tcp-export=yes nvme-tcp-server-allow-host-name=\"\"",
    )
    .await;
    let session = connect(&world, "n1", "sub-csi-a", "h").unwrap();
    world.write(session, write_now(&world, "kept")).unwrap();
    quiet(&world, "/disk/remove csi-a").await;
    let line = format!("/disk/add type=file slot=csi-b file-path={}", file("csi-a"));
    quiet(&world, &line).await;
    assert_eq!(content(&world, "csi-b").as_deref(), Some("kept"));
    assert_eq!(world.disk("csi-b").unwrap().size, GIB);
}

#[tokio::test]
async fn a_password_is_taken_and_never_shown() {
    let world = device();
    add(&world, "csi-a").await;
    set(&world, "csi-a", "nvme-tcp-server-password=hunter2").await;
    for form in [
        "/disk/print detail",
        ":put [/disk print detail as-value]",
        ":put [:serialize to=json value=[/disk print detail as-value]]",
        ":put [/disk get csi-a]",
    ] {
        let text = out(&world, form).await;
        assert!(
            text.contains("csi-a") && !text.contains("hunter2"),
            "{form}"
        );
    }
}

#[tokio::test]
async fn policies_decide_which_verbs_a_user_has() {
    let world = device();
    add(&world, "csi-a").await;
    world.set_policies("viewer", Policies::READ_ONLY);
    let denied = "not enough permissions (9)\r\n";
    let rows = [
        (":put [/disk get csi-a slot]", "csi-a\r\n"),
        ("/disk/set [find where slot=csi-a] comment=x", denied),
        ("/disk/remove csi-a", denied),
        ("/file/remove [find]", denied),
        ("/disk/monitor-traffic csi-a once", denied),
    ];
    for (line, expected) in rows {
        let output = world.exec("viewer", line).await;
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{line}");
    }
    assert!(world.disk("csi-a").is_some());
}

#[tokio::test(start_paused = true)]
async fn verbs_can_be_slow_fail_and_lie() {
    let world = device();
    add(&world, "csi-a").await;
    let mut faults = DeviceFaults::default();
    faults.delays_ms.insert("/disk/set".to_owned(), 1_500);
    let text = "failure: injected".to_owned();
    let lie = VerbFailure {
        text: text.clone(),
        times: Some(1),
        after_effect: true,
    };
    faults.fail.insert("/disk/set".to_owned(), lie);
    let fail = VerbFailure {
        text,
        times: Some(1),
        after_effect: false,
    };
    faults.fail.insert("/disk/remove".to_owned(), fail);
    world.set_faults(faults);
    let begun = tokio::time::Instant::now();
    assert_eq!(
        out(&world, "/disk/set csi-a comment=x;:put N").await,
        "failure: injected\r\n"
    );
    assert_eq!(begun.elapsed().as_millis(), 1_500);
    assert_eq!(world.disk("csi-a").unwrap().comment, "x");
    assert_eq!(
        out(&world, "/disk/remove csi-a").await,
        "failure: injected\r\n"
    );
    assert!(world.disk("csi-a").is_some());
    quiet(&world, "/disk/remove csi-a").await;
    assert_eq!(world.disk("csi-a"), None);
}

#[tokio::test]
async fn disk_copy_copies_data_and_reports_progress() {
    let world = device();
    add(&world, "csi-a").await;
    add(&world, "csi-b").await;
    set(
        &world,
        "csi-a",
        "nvme-tcp-export=yes nvme-tcp-server-allow-host-name=\"\"",
    )
    .await;
    let session = connect(&world, "n1", "sub-csi-a", "h").unwrap();
    world.write(session, write_now(&world, "data")).unwrap();
    let text = out(&world, "/disk/copy src=csi-a dst=csi-b").await;
    assert!(
        text.ends_with("status: 1073741824 / 1073741824 (100%)\r\n\r\n"),
        "{text}"
    );
    assert_eq!(content(&world, "csi-b").as_deref(), Some("data"));
}

#[tokio::test]
async fn a_subvolume_clone_holds_the_files_of_its_moment() {
    let world = device();
    let add = "/disk/btrfs/subvolume/add fs=storage-pool";
    quiet(&world, &format!("{add} name=vol")).await;
    let line = "/disk/add type=file slot=v file-path=/storage-pool/vol/v.img file-size=1G \
                nvme-tcp-export=yes nvme-tcp-server-nqn=sub";
    quiet(&world, line).await;
    let session = connect(&world, "n1", "sub", "h").unwrap();
    world.write(session, write_now(&world, "before")).unwrap();
    quiet(&world, &format!("{add} name=snap parent=vol read-only=yes")).await;
    world.write(session, write_now(&world, "after")).unwrap();
    assert_eq!(
        content(&world, "/storage-pool/snap/v.img").as_deref(),
        Some("before")
    );
    quiet(
        &world,
        "/disk/btrfs/subvolume/remove [find where name=snap]",
    )
    .await;
    assert_eq!(content(&world, "/storage-pool/snap/v.img"), None);
    assert_eq!(content(&world, "v").as_deref(), Some("after"));
}
