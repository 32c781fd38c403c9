//! Listings of real devices, one file per layout, and what they say.

use std::fmt::Write as _;
use std::path::Path;

use crate::rds::entry::{DiskEntry, DiskKind};
use crate::rds::error::ReadError;
use crate::rds::file::{FileEntry, FileSize};
use crate::rds::record::Record;
use crate::rds::text::read;

/// Reads a recorded listing as stored and with the line ends of an SSH channel.
fn records(name: &str) -> Result<Vec<Record>, ReadError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recorded")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let over_ssh = read(&text.replace('\n', "\r\n"));
    assert_eq!(
        format!("{:?}", read(&text)),
        format!("{over_ssh:?}"),
        "{name}"
    );
    over_ssh
}

fn disks(name: &str) -> Vec<DiskEntry> {
    records(name)
        .unwrap()
        .iter()
        .map(|record| DiskEntry::try_from(record).unwrap())
        .collect()
}

fn volume(slot: &str, path: &str, size: u64) -> DiskEntry {
    DiskEntry {
        slot: slot.to_owned(),
        kind: DiskKind::File,
        file_path: Some(path.to_owned()),
        size,
        free: None,
        exported: true,
        port: Some(4420),
        subsystem_nqn: Some(format!("nqn.2000-02.com.mikrotik:{slot}")),
        host_nqn: Some(String::new()),
        mount_point: None,
        mounted: false,
        disabled: false,
        filesystem: None,
        state: None,
        comment: None,
    }
}

fn pool(slot: &str, kind: &str, size: u64) -> DiskEntry {
    DiskEntry {
        kind: DiskKind::Other(kind.to_owned()),
        file_path: None,
        exported: false,
        port: None,
        subsystem_nqn: None,
        host_nqn: None,
        ..volume(slot, "", size)
    }
}

#[test]
fn recorded_disk_listings_give_their_entries() {
    let one = volume("pvc-test-123", "/storage-pool/test.img", 53_687_091_200);
    assert_eq!(disks("disk-7.16-volume-no-prefix.txt"), [one]);

    let mut two = [
        volume("pvc-test-1", "/storage-pool/test1.img", 53_687_091_200),
        volume("pvc-test-2", "/storage-pool/test2.img", 107_374_182_400),
    ];
    for entry in &mut two {
        entry.host_nqn = None;
    }
    assert_eq!(disks("disk-7.16-two-volumes.txt"), two);

    let slot = "pvc-42f0d924-eb9f-4a5f-a323-112802392ace";
    let path = format!("/storage-pool/metal-csi/{slot}.img");
    assert_eq!(
        disks("disk-7.16-cut-words.txt"),
        [volume(slot, &path, 1 << 30)]
    );

    let nqn = "nqn.2026-09.com.mikrotik:rds2216.vm-storage-001".to_owned();
    let wide = volume("vm-storage-001", "/raid10/vm-storage-001.img", 1 << 40);
    let wide = DiskEntry {
        subsystem_nqn: Some(nqn),
        ..wide
    };
    assert_eq!(disks("disk-7.24-wide-volume.txt"), [wide]);
}

#[test]
fn recorded_pools_give_their_capacity() {
    let raid = DiskEntry {
        free: Some(14_789_895_307_264),
        mount_point: Some("raid10".to_owned()),
        mounted: true,
        filesystem: Some("xfs".to_owned()),
        state: Some("clean".to_owned()),
        ..pool("raid10", "raid", 16_003_143_565_312)
    };
    let member = DiskEntry {
        state: Some("clean".to_owned()),
        ..pool("raid10-m0", "raid", 4_000_786_153_472)
    };
    assert_eq!(disks("disk-7.24-wide-pool.txt"), [raid, member]);

    let stick = DiskEntry {
        free: Some(122_382_983_168),
        mount_point: Some("usb1".to_owned()),
        mounted: true,
        filesystem: Some("ext4".to_owned()),
        ..pool("usb1", "hardware", 124_948_316_160)
    };
    assert_eq!(disks("disk-ax3-full-legend.txt"), [stick]);

    let old = DiskEntry {
        free: Some(17_283_538_190_336),
        filesystem: Some("ext4".to_owned()),
        ..pool("raid1", "raid", 17_283_541_893_120)
    };
    assert_eq!(disks("disk-old-raid.txt"), [old]);

    assert_eq!(disks("disk-legend-only.txt"), []);
    assert!(records("disk-table-form.txt").is_err());
}

#[test]
fn recorded_file_listings_give_their_files() {
    let table = [
        (
            "file-80-columns.txt",
            "/storage-pool/metal-csi dir -\n\
             /storage-pool/metal-csi/pvc-ccdecfad-a8bf-572e-9120-464c4d99f12f.img file ~10737418240\n\
             /storage-pool/metal-csi/pvc-0f923194-922a-5dd8-b376-c2c6ccb56dd8.img file ~1073741824\n",
        ),
        (
            "file-7.24-contents.txt",
            "/routeros-7.24.2-arm64.npk file ~13946060\n/my-dir/test.txt file 5\n",
        ),
    ];
    for (name, expected) in table {
        let mut shown = String::new();
        for record in records(name).unwrap() {
            let file = FileEntry::try_from(&record).unwrap();
            let kind = if file.is_dir { "dir" } else { "file" };
            let size = match file.size {
                None => "-".to_owned(),
                Some(FileSize::Exact(bytes)) => bytes.to_string(),
                Some(FileSize::Rounded(bytes)) => format!("~{bytes}"),
            };
            writeln!(shown, "{} {kind} {size}", file.path).unwrap();
        }
        assert_eq!(shown, expected, "{name}");
    }
}

#[test]
fn wrapped_values_keep_every_property() {
    let records = records("disk-7.16-cut-words.txt").unwrap();
    let fields: Vec<_> = records[0].fields().collect();
    let model = "/storage-pool/metal-csi/pvc-42f0d924-eb9f-4a5f-a323-112802392ace.img";
    assert_eq!(fields.len(), 25, "{fields:?}");
    assert_eq!(records[0].get("model"), Some(model));
    assert_eq!(records[0].get("file-size"), Some("1024.0MiB"));
    assert_eq!(records[0].get("raid-master"), Some("none"));
}
