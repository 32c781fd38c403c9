//! What several calls have in common is checked by each of them: ids, parameters, sizes.

use super::*;

const TIB: i64 = 1 << 40;
/// What a shell, RouterOS, a log or a reader could take for something else.
const HOSTILE: [&str; 10] = [
    "a\"b", "a'b", "$a", "[find]", "a;b", "a\nb", "a\0b", "a\\b", "größe", "a b",
];

#[test]
fn volume_ids_are_checked_by_every_call_that_has_one() {
    type Read = fn(String) -> Result<Option<VolumeId>, Error>;
    let calls: [(&str, Read); 6] = [
        ("delete", |volume_id| {
            delete(&csi::DeleteVolumeRequest {
                volume_id,
                ..Default::default()
            })
        }),
        ("expand", |volume_id| {
            let request = csi::ControllerExpandVolumeRequest {
                volume_id,
                ..expand_request(GIB, 0)
            };
            expand(&request).map(|read| read.id)
        }),
        ("publish", |volume_id| {
            let request = csi::ControllerPublishVolumeRequest {
                volume_id,
                ..publish_request()
            };
            publish(&request).map(|read| read.id)
        }),
        ("unpublish", |volume_id| {
            let request = csi::ControllerUnpublishVolumeRequest {
                volume_id,
                ..Default::default()
            };
            unpublish(&request).map(|read| read.id)
        }),
        ("validate", |volume_id| {
            let request = csi::ValidateVolumeCapabilitiesRequest {
                volume_id,
                ..validate_request()
            };
            validate(&request).map(|read| read.id)
        }),
        ("get", |volume_id| {
            get(&csi::ControllerGetVolumeRequest { volume_id })
        }),
    ];
    let long = "v".repeat(129);
    for (call, read) in calls {
        for bad in HOSTILE.into_iter().chain(["", &long]) {
            refused(
                read(bad.to_owned()),
                Kind::Invalid,
                "volume_id",
                &format!("{call} {bad:?}"),
            );
        }
        assert_eq!(read(ID.to_owned()).unwrap().unwrap().as_str(), ID, "{call}");
        let absent = read("somebody-elses".to_owned()).unwrap();
        assert_eq!(absent, None, "{call}: well formed, and never ours");
    }
}

#[test]
fn node_ids_are_checked_by_every_call_that_has_one() {
    let published = |node_id: &str| {
        let node_id = node_id.to_owned();
        publish(&csi::ControllerPublishVolumeRequest {
            node_id,
            ..publish_request()
        })
    };
    let unpublished = |node_id: &str| {
        unpublish(&csi::ControllerUnpublishVolumeRequest {
            volume_id: ID.to_owned(),
            node_id: node_id.to_owned(),
            ..Default::default()
        })
    };
    let long = "n".repeat(254);
    for bad in HOSTILE.into_iter().chain([long.as_str(), "-a", "a:b"]) {
        refused(published(bad), Kind::Invalid, "node_id", bad);
        refused(unpublished(bad), Kind::Invalid, "node_id", bad);
    }
    refused(published(""), Kind::Invalid, "node_id", "no node");
    assert_eq!(unpublished("").unwrap().node, None, "from every node");
    let one = unpublished("node-1").unwrap().node.unwrap();
    assert_eq!(one.as_str(), "node-1");
}

#[test]
fn parameters_that_are_unknown_or_malformed_are_refused_by_name() {
    for (key, value) in [
        ("nvmeport", "4420"),
        ("nvmePort", "0"),
        ("nvmeAddress", "rds.example"),
        ("volumePath", "/a/../b"),
        ("volumePath", "/a;b"),
        ("ctrlLossTmo", "soon"),
        ("fsType", "xfs"),
    ] {
        let parameters = map(key, value);
        let row = format!("{key}={value}");
        let request = csi::CreateVolumeRequest {
            parameters: parameters.clone(),
            ..create_request()
        };
        refused(create(&request), Kind::Invalid, key, &row);
        let request = csi::GetCapacityRequest {
            parameters: parameters.clone(),
            ..Default::default()
        };
        refused(capacity(&request), Kind::Invalid, key, &row);
        let request = csi::ValidateVolumeCapabilitiesRequest {
            parameters,
            ..validate_request()
        };
        let verdict = validate(&request).unwrap().verdict;
        refused(verdict, Kind::Invalid, key, &row);
    }
}

#[test]
fn sizes_that_no_volume_can_have_are_refused() {
    let rows = [
        (0, 0, None),
        (0, GIB, None),
        (GIB, 0, None),
        (1, 0, None),
        (16 * TIB, 0, None),
        (0, 1, Some(Kind::OutOfRange)),
        (1, 1, Some(Kind::OutOfRange)),
        (2 * GIB, GIB, Some(Kind::OutOfRange)),
        (16 * TIB + 1, 0, Some(Kind::OutOfRange)),
        (i64::MAX, 0, Some(Kind::OutOfRange)),
        (-1, 0, Some(Kind::Invalid)),
        (GIB, -1, Some(Kind::Invalid)),
    ];
    for (required, limit, expected) in rows {
        let row = format!("required {required} limit {limit}");
        let request = csi::CreateVolumeRequest {
            capacity_range: Some(range(required, limit)),
            ..create_request()
        };
        let kind = create(&request).err().map(|error| error.kind());
        assert_eq!(kind, expected, "create: {row}");
        // What grows has to be told how far.
        let to_grow = if (required, limit) == (0, 0) {
            Some(Kind::Invalid)
        } else {
            expected
        };
        let grown = expand(&expand_request(required, limit));
        assert_eq!(
            grown.err().map(|error| error.kind()),
            to_grow,
            "expand: {row}"
        );
    }
    let nothing = csi::ControllerExpandVolumeRequest {
        capacity_range: None,
        ..expand_request(0, 0)
    };
    refused(
        expand(&nothing),
        Kind::Invalid,
        "capacity_range",
        "no range",
    );
}
