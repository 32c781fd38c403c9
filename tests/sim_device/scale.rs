//! Ten thousand volumes: lookups by slot and by file name touch one row.

use rds_csi::sim::observer::{LOG_CAPACITY, What};

use super::fixture::{add, device, out, quiet};

const VOLUMES: u64 = 10_000;

#[tokio::test]
async fn lookups_touch_only_the_rows_they_name() {
    let world = device();
    for number in 0..VOLUMES {
        add(&world, &format!("csi-{number:05}")).await;
    }
    assert_eq!(world.rows_visited(), 0);
    let slot = "slot=\"csi-07777\"";
    let name = "storage-pool/metal-csi/csi-07777";
    let rows = [
        (
            format!("/disk/set [find where {slot} && nvme-tcp-export=no] comment=x"),
            1,
        ),
        (
            ":local s \"csi-07777\";/disk/set [find where slot=$s] comment=y".to_owned(),
            1,
        ),
        (
            format!("/disk/set [find where nvme-tcp-export=no && {slot}] comment=z"),
            1,
        ),
        (
            format!(":local j [:serialize to=json value=[/disk print as-value where {slot}]]"),
            1,
        ),
        (
            "/disk/set [find where slot=missing] comment=x".to_owned(),
            0,
        ),
        (
            ":local n [:len [/disk find where slot~\"^csi-077\"]]".to_owned(),
            100,
        ),
        (format!("/file/remove [find where name=\"{name}.img\"]"), 1),
        (
            ":local n [:len [/file find where name~\"^storage-pool/metal-csi/csi-07776\\\\.\"]]"
                .to_owned(),
            1,
        ),
        (
            ":local n [:len [/disk find where slot=csi-1 || slot=csi-2]]".to_owned(),
            VOLUMES + 1,
        ),
    ];
    for (line, visits) in rows {
        let before = world.rows_visited();
        quiet(&world, &line).await;
        assert_eq!(world.rows_visited() - before, visits, "{line}");
    }
    assert_eq!(
        out(&world, ":put [:len [/disk find where slot~\"^csi-\"]]").await,
        "10000\r\n"
    );
}

#[tokio::test]
async fn the_log_is_a_ring_and_says_what_it_lost() {
    let world = device();
    let lines = LOG_CAPACITY as u64 + 10;
    for _ in 0..lines {
        quiet(&world, ":local n 1").await;
    }
    assert_eq!(world.log_dropped(), 10);
    let log = world.log(0);
    assert_eq!(log.len(), LOG_CAPACITY);
    assert!(log.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let What::Command(first) = &log[0].what else {
        panic!("only commands were run")
    };
    assert_eq!(first.line, 11);
    let middle = log[100].seq;
    assert_eq!(
        world.log(middle).first().map(|entry| entry.seq),
        Some(log[101].seq)
    );
}
