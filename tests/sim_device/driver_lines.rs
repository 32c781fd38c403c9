//! The lines the driver sends, whole, in both forms of reading back.

use rds_csi::sim::personality::Personality;

use super::fixture::{GIB, connect, device, device_of, out};

const SLOT: &str = "csi-0123456789abcdef0123456789ab";
const FREE: &str =
    "nqn.2000-02.com.mikrotik:csi-0123456789abcdef0123456789ab:free:e1-1700000000-aa";
const FREE_HOST: &str = "nqn.2026-11.io.srvlab.csi.rds:c1c2c3c4:free:e1-1700000000-aa";
const PAIR: &str = "nqn.2000-02.com.mikrotik:csi-0123456789abcdef0123456789ab:2-1700000001-bb";
const PAIR_HOST: &str = "nqn.2026-11.io.srvlab.csi.rds:c1c2c3c4:worker-1:2-1700000001-bb";
const PATH: &str = "/storage-pool/metal-csi/csi-0123456789abcdef0123456789ab.c1c2c3c4.p1.n1.img";

fn read_disk(json: bool) -> &'static str {
    if json {
        ":put [:serialize to=json value=[/disk print detail as-value where slot=$s]]"
    } else {
        "/disk print detail where slot=$s"
    }
}

fn create(json: bool) -> String {
    format!(
        ":local s \"{SLOT}\";:if ([:len [/disk find where slot=$s]] = 0) do={{/disk/add type=file \
         slot=$s file-path=\"{PATH}\" file-size={GIB} mount-filesystem=no nvme-tcp-export=no \
         nvme-tcp-server-port=4420 nvme-tcp-server-nqn=\"{FREE}\" \
         nvme-tcp-server-allow-host-name=\"{FREE_HOST}\"}};:put \"N-0\";{};:put \"N-1\"",
        read_disk(json)
    )
}

fn publish(json: bool) -> String {
    format!(
        ":local s \"{SLOT}\";:local n \"{PAIR}\";:local h \"{PAIR_HOST}\";\
         /disk set [find where slot=$s && nvme-tcp-server-nqn=\"{FREE}\" && \
         nvme-tcp-server-allow-host-name=\"{FREE_HOST}\" && nvme-tcp-export=no] \
         nvme-tcp-server-nqn=$n nvme-tcp-server-allow-host-name=$h;\
         /disk set [find where slot=$s && nvme-tcp-server-nqn=$n && \
         nvme-tcp-server-allow-host-name=$h] nvme-tcp-export=no;\
         /disk set [find where slot=$s && nvme-tcp-server-nqn=$n && \
         nvme-tcp-server-allow-host-name=$h && nvme-tcp-export=no] nvme-tcp-export=yes;\
         :put \"N-0\";{};:put \"N-1\"",
        read_disk(json)
    )
}

fn revoke(json: bool) -> String {
    format!(
        ":local s \"{SLOT}\";:local n \"{PAIR}\";:local h \"{PAIR_HOST}\";\
         /disk set [find where slot=$s && nvme-tcp-server-nqn=$n && \
         nvme-tcp-server-allow-host-name=$h] nvme-tcp-export=no;\
         /disk set [find where slot=$s && nvme-tcp-server-nqn=$n && \
         nvme-tcp-server-allow-host-name=$h && nvme-tcp-export=no] \
         nvme-tcp-server-nqn=\"{FREE}\" nvme-tcp-server-allow-host-name=\"{FREE_HOST}\";\
         :put \"N-0\";{};:put \"N-1\"",
        read_disk(json)
    )
}

fn remove(free: &str) -> String {
    format!(
        ":local s \"{SLOT}\";/disk remove [find where slot=$s && nvme-tcp-server-nqn=\"{free}\" && \
         nvme-tcp-server-allow-host-name=\"{FREE_HOST}\" && nvme-tcp-export=no];:put \"N-0\";\
         /disk print detail where slot=$s;:put \"N-1\";\
         :put [:serialize to=json value=[/file print detail as-value where \
         name~\"^storage-pool/metal-csi/{SLOT}\\\\.\"]];:put \"N-2\""
    )
}

/// The sections of an answer, which must end with the last sentinel.
fn sections(text: &str, last: usize) -> Vec<String> {
    let mut rest = text;
    let mut found = Vec::new();
    for number in 0..=last {
        let (section, tail) = rest
            .split_once(&format!("N-{number}\r\n"))
            .expect("a sentinel");
        found.push(section.to_owned());
        rest = tail;
    }
    assert_eq!(rest, "");
    found
}

#[tokio::test]
async fn a_volume_goes_through_its_life_in_both_forms() {
    for json in [true, false] {
        let world = if json {
            device()
        } else {
            device_of(Personality::v7_12())
        };
        // Twice: the second finds the entry and adds nothing.
        for _ in 0..2 {
            let answer = sections(&out(&world, &create(json)).await, 1);
            assert_eq!(answer[0], "");
            assert!(answer[1].contains(FREE) || !json, "{}", answer[1]);
        }
        assert_eq!(world.disks().len(), 2);
        let answer = sections(&out(&world, &publish(json)).await, 1);
        assert_eq!(answer[0], "");
        let disk = world.disk(SLOT).unwrap();
        assert_eq!((disk.subsystem_nqn.as_str(), disk.exported), (PAIR, true));
        assert_eq!(disk.allow_host_name, PAIR_HOST);
        connect(&world, "worker-1", PAIR, PAIR_HOST).unwrap();
        sections(&out(&world, &revoke(json)).await, 1);
        let disk = world.disk(SLOT).unwrap();
        assert_eq!((disk.subsystem_nqn.as_str(), disk.exported), (FREE, false));
        assert!(world.sessions().is_empty());
    }
}

#[tokio::test]
async fn a_condition_that_no_longer_holds_changes_nothing() {
    let world = device();
    out(&world, &create(true)).await;
    out(&world, &publish(true)).await;
    let granted = world.disk(SLOT).unwrap();
    let session = connect(&world, "worker-1", PAIR, PAIR_HOST).unwrap();
    // A late remove and a late grant from the Free state: both find nothing.
    let answer = sections(&out(&world, &remove(FREE)).await, 2);
    assert_eq!(answer[0], "");
    let late = publish(true)
        .replace(PAIR, "late")
        .replace(PAIR_HOST, "late-host");
    sections(&out(&world, &late).await, 1);
    assert_eq!(world.disk(SLOT).unwrap(), granted);
    assert!(world.sessions().iter().any(|open| open.id == session));
}

#[tokio::test]
async fn deleting_meets_entry_and_file_in_every_combination() {
    for (entry, file) in [(true, true), (true, false), (false, true), (false, false)] {
        let world = device();
        out(&world, &create(true)).await;
        if !entry {
            out(&world, &format!("/disk remove {SLOT}")).await;
        }
        if !file {
            out(&world, &format!("/file remove {PATH}")).await;
        }
        let answer = sections(&out(&world, &remove(FREE)).await, 2);
        assert_eq!(answer[0], "");
        assert!(!answer[1].contains("slot="), "{}", answer[1]);
        assert_eq!(answer[2].contains(".img"), file, "{}", answer[2]);
        let name = PATH.trim_start_matches('/');
        let line = format!("/file remove [find where name=\"{name}\"];:put \"N-0\"");
        assert_eq!(sections(&out(&world, &line).await, 0), [""]);
        assert_eq!(world.disk(SLOT), None);
        assert!(!world.files().contains(&name.to_owned()));
    }
}

#[tokio::test]
async fn a_system_reading_has_three_sections() {
    let world = device();
    let line = ":put [/system/resource/get version];:put \"N-0\";\
                :put [/system/resource/get uptime];:put \"N-1\";\
                :put [/system/identity/get name];:put \"N-2\"";
    let answer = sections(&out(&world, line).await, 2);
    assert_eq!(
        answer,
        ["7.24.5 (stable)\r\n", "00:00:00\r\n", "rds-sim\r\n"]
    );
    let count = out(&world, ":put [:len [/disk find where slot~\"^csi-\"]]").await;
    assert_eq!(count, "0\r\n");
}
