//! The three forms of `print`, against shapes recorded on RouterOS.

use rds_csi::sim::personality::{JsonIntegers, Personality};
use serde_json::Value;

use super::fixture::{add, device, device_of, out, quiet, set};

const LEGEND: &str = "Flags: X - DISABLED; A - ACQUIRED, E - EMPTY, B - BLOCK-DEVICE;\r\n\
    M - MOUNTED, F - FORMATTING, S - SWAP-ENABLED;\r\n\
    f - RAID-MEMBER-FAILED, r - RAID-MEMBER; c - ENCRYPTED, L - LOCKED,\r\n\
    O - OPAL, o - OPAL-LOCKED; g - GUID-PARTITION-TABLE, p - PARTITION;\r\n\
    t - NVME-TCP-EXPORT; i - ISCSI-EXPORT; s - SMB-SHARING;\r\n\
    n - NFS-SHARING; m - MEDIA-SHARING\r\n";

/// The listing with CR LF made visible as line ends, after the legend.
fn body(text: &str) -> String {
    let body = text.strip_prefix(LEGEND).expect("the legend comes first");
    assert_eq!(body.matches('\n').count(), body.matches("\r\n").count());
    body.replace("\r\n", "\n")
}

#[tokio::test]
async fn an_exported_volume_wraps_like_the_recorded_one() {
    let world = device_of(Personality::v7_16());
    quiet(
        &world,
        "/disk add type=file file-path=/storage-pool/metal-csi/pvc-test-123-data.img file-size=50G \
         slot=pvc-test-123 nvme-tcp-export=yes nvme-tcp-server-port=4420 \
         nvme-tcp-server-nqn=nqn.2000-02.com.mikrotik:pvc-test-123",
    )
    .await;
    let text = out(&world, "/disk print detail where slot=\"pvc-test-123\"").await;
    let expected = r#" 0  B    t     type=file slot="pvc-test-123" slot-default="" parent="" fs=-
               model="/storage-pool/metal-csi/pvc-test-123-data.img"
               size=53 687 091 200 mount-filesystem=yes mount-read-only=no
               compress=no sector-size=512 raid-master=none
               nvme-tcp-export=yes nvme-tcp-server-port=4420
               nvme-tcp-server-nqn="nqn.2000-02.com.mikrotik:pvc-test-123"
               nvme-tcp-server-allow-host-name="" iscsi-export=no
               nfs-sharing=no smb-sharing=no media-sharing=no
               media-interface=none swap=no
               file-path=/storage-pool/metal-csi/pvc-test-123-data.img
               file-size=50.0GiB file-offset=0

"#;
    assert_eq!(body(&text), expected);
}

#[tokio::test]
async fn tokens_longer_than_a_line_are_cut_at_column_80() {
    let world = device_of(Personality::v7_16());
    let slot = "pvc-42f0d924-eb9f-4a5f-a323-112802392ace";
    let line = format!(
        "/disk add type=file file-path=/storage-pool/metal-csi/{slot}.img file-size=1G slot={slot} \
         nvme-tcp-export=yes nvme-tcp-server-nqn=nqn.2000-02.com.mikrotik:{slot}"
    );
    quiet(&world, &line).await;
    let text = body(&out(&world, "/disk print detail where slot~\"^pvc\"").await);
    let expected = r#" 0  B    t     type=file slot="pvc-42f0d924-eb9f-4a5f-a323-112802392ace"
               slot-default="" parent="" fs=-
               model="/storage-pool/metal-csi/pvc-42f0d924-eb9f-4a5f-a323-112802
               392ace.img" size=1 073 741 824 mount-filesystem=yes
               mount-read-only=no compress=no sector-size=512 raid-master=none
               nvme-tcp-export=yes nvme-tcp-server-port=4420
               nvme-tcp-server-nqn="nqn.2000-02.com.mikrotik:pvc-42f0d924-eb9f-4
               a5f-a323-112802392ace" nvme-tcp-server-allow-host-name=""
               iscsi-export=no nfs-sharing=no smb-sharing=no media-sharing=no
               media-interface=none swap=no
               file-path=/storage-pool/metal-csi/pvc-42f0d924-eb9f-4a5f-a323-112
               802392ace.img file-size=1024.0MiB file-offset=0

"#;
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_number_may_be_wrapped_between_its_groups() {
    let kind = Personality {
        breaks_digit_groups: true,
        width: 40,
        ..Personality::v7_16()
    };
    let world = device_of(kind);
    add(&world, "csi-a").await;
    let text = body(&out(&world, "/disk print detail where slot=csi-a").await);
    assert!(
        text.contains("size=1\n               073 741 824\n"),
        "{text}"
    );
}

#[tokio::test]
async fn no_match_prints_the_legend_only() {
    let world = device();
    let text = out(&world, "/disk/print detail where slot=missing").await;
    assert_eq!(text, format!("{LEGEND}\r\n"));
}

#[tokio::test]
async fn records_are_separated_by_a_line_with_a_blank_and_numbered_per_listing() {
    let world = device();
    for slot in ["csi-a", "csi-b", "csi-c"] {
        add(&world, slot).await;
    }
    set(&world, "csi-b", "comment=\"slot=\\\"csi-z\\\" ;;; N-0\"").await;
    let text = body(&out(&world, "/disk/print detail where slot~\"^csi-[bc]\"").await);
    assert!(
        text.starts_with(
            " 0  B          ;;; slot=\"csi-z\" ;;; N-0\n               type=file slot=\"csi-b\""
        ),
        "{text}"
    );
    assert!(
        text.contains("file-offset=0\n \n 1  B          type=file slot=\"csi-c\""),
        "{text}"
    );
}

#[tokio::test]
async fn the_pool_shows_capacity_and_no_names() {
    let world = device_of(Personality::v7_16());
    let text = body(
        &out(
            &world,
            "/disk/print detail where mount-point=\"storage-pool\"",
        )
        .await,
    );
    for part in [
        " 0  BM         type=raid slot=\"storage-pool\"",
        "size=7 681 574 174 720 free=7 301 927 047 168 use=4%",
        "mount-point=\"storage-pool\"",
        "fs=btrfs",
        "state=\"clean\"",
    ] {
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&part), "{part} in {flat}");
    }
    assert!(!text.contains("nvme-tcp-server-nqn"));
    let old = device_of(Personality::v7_12());
    let text = out(
        &old,
        "/disk/print detail where mount-point=\"storage-pool\"",
    )
    .await;
    assert!(
        text.contains("parent=none") && text.contains("raid-state=\"clean\""),
        "{text}"
    );
}

#[tokio::test]
async fn files_have_no_leading_slash_and_two_word_types() {
    let world = device();
    let slot = "pvc-ccdecfad-a8bf-572e-9120-464c4d99f12f";
    let line = format!(
        "/disk add type=file slot=x file-path=/storage-pool/metal-csi/{slot}.img file-size=10G"
    );
    quiet(&world, &line).await;
    let text = out(&world, "/file/print detail where name~\"metal-csi\"").await;
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], " 0   name=storage-pool/metal-csi type=directory");
    assert!(lines[1].starts_with("     last-modified=20"), "{text}");
    assert_eq!(lines[2], " ");
    assert_eq!(
        lines[3],
        format!(" 1   name=storage-pool/metal-csi/{slot}.img")
    );
    assert!(
        lines[4].starts_with("     type=.img file size=10.0GiB last-modified="),
        "{text}"
    );
    assert_eq!(lines[5..], ["", ""]);
}

#[tokio::test]
async fn all_forms_tell_the_same() {
    let world = device();
    add(&world, "csi-a").await;
    set(
        &world,
        "csi-a",
        "nvme-tcp-export=yes comment=\"a;b=c \\\"d\\\" \\$e\"",
    )
    .await;
    let value = out(
        &world,
        ":put [/disk print detail as-value where slot=csi-a]",
    )
    .await;
    assert!(
        value.starts_with(".id=*5;block-device=true;comment=a;b=c \"d\" $e;"),
        "{value}"
    );
    let json = out(
        &world,
        ":put [:serialize to=json value=[/disk print detail as-value where slot=csi-a]]",
    )
    .await;
    let rows: Value = serde_json::from_str(json.trim_end()).unwrap();
    assert_eq!(rows.as_array().map(Vec::len), Some(1));
    let row = &rows[0];
    assert_eq!(row["comment"], "a;b=c \"d\" $e");
    assert_eq!(row["size"], 1_073_741_824_u64);
    assert_eq!(row["file-size"], 1_073_741_824_u64);
    assert_eq!(row["nvme-tcp-export"], true);
    let text = out(&world, "/disk print detail where slot=csi-a").await;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (key, field) in row.as_object().unwrap() {
        let shown = match field {
            Value::String(text) if key == ".id" || key == "comment" => text.clone(),
            Value::String(text) => format!("{key}={text}"),
            Value::Bool(set) if flat.contains(&format!("{key}=")) => {
                format!("{key}={}", if *set { "yes" } else { "no" })
            }
            _ => continue,
        };
        let quoted = shown.replacen('=', "=\"", 1) + "\"";
        assert!(
            key == ".id" || flat.contains(&shown) || flat.contains(&quoted),
            "{shown} in {flat}"
        );
        assert!(value.contains(&format!("{key}=")), "{key} in {value}");
    }
}

#[tokio::test]
async fn json_has_the_quirks_of_serialize() {
    let kind = Personality {
        json_integers: JsonIntegers::SixDecimals,
        ..Personality::default()
    };
    let world = device_of(kind);
    add(&world, "123").await;
    let rows = ":put [:serialize to=json value=[/disk print as-value proplist=slot,size where slot=\"123\"]";
    let as_number = out(&world, &format!("{rows}]")).await;
    assert_eq!(
        as_number,
        "[{\".id\":\"*5\",\"size\":1073741824.000000,\"slot\":123.000000}]\r\n"
    );
    let kept = out(
        &world,
        &format!("{rows} options=json.no-string-conversion]"),
    )
    .await;
    assert_eq!(
        kept,
        "[{\".id\":\"*5\",\"size\":1073741824.000000,\"slot\":\"123\"}]\r\n"
    );
    assert_eq!(
        out(
            &world,
            ":put [:serialize to=json value=[/disk find where slot=no]]"
        )
        .await,
        "[]\r\n"
    );
}

#[tokio::test]
async fn print_as_value_alone_prints_nothing() {
    let world = device();
    quiet(&world, "/disk/print as-value").await;
}

#[tokio::test]
async fn traffic_is_laid_out_as_recorded() {
    let world = device();
    let text = out(&world, "/disk/monitor-traffic storage-pool once").await;
    assert!(
        text.starts_with("                  slot:    storage-pool\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\n             read-time:        48s149ms\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\n           write-bytes: 515 659 673 600\r\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn system_readings_have_the_recorded_form() {
    let world = device();
    tokio::time::advance(std::time::Duration::from_mins((9 * 24 + 3) * 60 + 4)).await;
    assert_eq!(
        out(&world, ":put [/system/resource/get uptime]").await,
        "1w2d03:04:00\r\n"
    );
    let text = out(&world, "/system resource print").await;
    assert!(
        text.starts_with("                   uptime: 1w2d3h4m\r\n"),
        "{text}"
    );
    world.reboot();
    assert_eq!(
        out(&world, ":put [/system/resource/get uptime]").await,
        "00:00:00\r\n"
    );
    assert_eq!(
        out(&world, "/system identity print").await,
        "  name: rds-sim\r\n\r\n"
    );
    let packages = out(&world, ":put [:len [/system/package find]]").await;
    assert_eq!(packages, "2\r\n");
}
