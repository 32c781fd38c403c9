//! Every bad input of every call, and the good ones beside them.

mod shared;

use super::*;
use crate::domain::access::{FsType, Mode};
use crate::domain::error::Kind;
use crate::proto::csi::volume_capability::access_mode::Mode as WireMode;
use crate::proto::csi::volume_capability::{
    AccessMode, AccessType as WireType, BlockVolume, MountVolume,
};

const ID: &str = "csi-0123456789abcdef0123456789ab";
const GIB: i64 = 1 << 30;

fn capability(mode: WireMode, kind: WireType) -> csi::VolumeCapability {
    csi::VolumeCapability {
        access_mode: Some(AccessMode { mode: mode.into() }),
        access_type: Some(kind),
    }
}

fn mount_of_type(fs_type: &str) -> WireType {
    WireType::Mount(MountVolume {
        fs_type: fs_type.to_owned(),
        ..Default::default()
    })
}

fn mount() -> csi::VolumeCapability {
    capability(WireMode::SingleNodeWriter, mount_of_type(""))
}

fn block() -> csi::VolumeCapability {
    capability(WireMode::SingleNodeWriter, WireType::Block(BlockVolume {}))
}

fn create_request() -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest {
        name: "pvc-1".to_owned(),
        volume_capabilities: vec![mount()],
        ..Default::default()
    }
}

fn publish_request() -> csi::ControllerPublishVolumeRequest {
    csi::ControllerPublishVolumeRequest {
        volume_id: ID.to_owned(),
        node_id: "node-1".to_owned(),
        volume_capability: Some(mount()),
        ..Default::default()
    }
}

fn expand_request(required_bytes: i64, limit_bytes: i64) -> csi::ControllerExpandVolumeRequest {
    csi::ControllerExpandVolumeRequest {
        volume_id: ID.to_owned(),
        capacity_range: Some(range(required_bytes, limit_bytes)),
        ..Default::default()
    }
}

fn validate_request() -> csi::ValidateVolumeCapabilitiesRequest {
    csi::ValidateVolumeCapabilitiesRequest {
        volume_id: ID.to_owned(),
        volume_capabilities: vec![mount()],
        ..Default::default()
    }
}

fn range(required_bytes: i64, limit_bytes: i64) -> csi::CapacityRange {
    csi::CapacityRange {
        required_bytes,
        limit_bytes,
    }
}

fn map(key: &str, value: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value.to_owned())])
}

/// A request was refused as `kind`, with a message that has `names` in it.
fn refused<T>(read: Result<T, Error>, kind: Kind, names: &str, row: &str) {
    let Err(error) = read else {
        panic!("{row}: not refused");
    };
    assert_eq!(error.kind(), kind, "{row}: {error}");
    assert!(error.context().contains(names), "{row}: {error}");
}

#[test]
fn a_good_request_of_each_kind_is_read() {
    let create = create(&create_request()).unwrap();
    assert_eq!(
        (create.name.as_str(), create.size.allocate()),
        ("pvc-1", 1 << 30)
    );
    let publish = publish(&publish_request()).unwrap();
    assert_eq!(publish.id.unwrap().as_str(), ID);
    assert_eq!(publish.node.as_str(), "node-1");
    assert_eq!(publish.access.mode, Mode::SingleNodeWriter);
    assert_eq!(publish.access.fs_type(), FsType::Ext4);
    assert_eq!(
        expand(&expand_request(2 * GIB, 0)).unwrap().size.allocate(),
        2 << 30
    );
    assert!(validate(&validate_request()).unwrap().verdict.is_ok());
    assert!(capacity(&csi::GetCapacityRequest::default()).is_ok());
}

#[test]
fn names_of_new_volumes_are_short_and_printable() {
    let named = |name: &str| {
        let name = name.to_owned();
        create(&csi::CreateVolumeRequest {
            name,
            ..create_request()
        })
    };
    // The name is only ever hashed: whatever can be printed is fine.
    let longest = "n".repeat(128);
    for good in ["größe", "a\"b", "$a [find]; b", &longest] {
        assert_eq!(named(good).unwrap().name, good);
    }
    let long = "n".repeat(129);
    for bad in [
        "",
        "a\nb",
        "a\0b",
        "a\u{1b}[2J",
        "a\u{7f}",
        "a\u{85}",
        &long,
    ] {
        refused(named(bad), Kind::Invalid, "name", bad);
    }
}

#[test]
fn only_raw_block_needs_no_expansion_on_the_node() {
    for (volume_capability, expected) in
        [(None, true), (Some(mount()), true), (Some(block()), false)]
    {
        let request = csi::ControllerExpandVolumeRequest {
            volume_capability,
            ..expand_request(GIB, 0)
        };
        assert_eq!(expand(&request).unwrap().node_expansion, expected);
    }
}

#[test]
fn what_this_driver_does_not_offer_is_refused_and_not_ignored() {
    let content = csi::CreateVolumeRequest {
        volume_content_source: Some(csi::VolumeContentSource::default()),
        ..create_request()
    };
    refused(
        create(&content),
        Kind::Invalid,
        "volume_content_source",
        "content",
    );
    let mutable = csi::CreateVolumeRequest {
        mutable_parameters: map("iops", "1"),
        ..create_request()
    };
    refused(
        create(&mutable),
        Kind::Invalid,
        "mutable_parameters",
        "mutable",
    );
    let readonly = csi::ControllerPublishVolumeRequest {
        readonly: true,
        ..publish_request()
    };
    refused(publish(&readonly), Kind::Invalid, "readonly", "readonly");
}

#[test]
fn topology_is_not_offered_and_requirements_for_it_change_nothing() {
    let topology = csi::Topology {
        segments: map("zone", "a"),
    };
    let request = csi::CreateVolumeRequest {
        accessibility_requirements: Some(csi::TopologyRequirement {
            requisite: vec![topology.clone()],
            preferred: vec![topology],
        }),
        ..create_request()
    };
    assert!(create(&request).is_ok());
}

#[test]
fn a_publish_reads_where_to_connect_and_refuses_nonsense() {
    let request = |key: &str, value: &str| csi::ControllerPublishVolumeRequest {
        volume_context: map(key, value),
        ..publish_request()
    };
    let read = publish(&request("nvmePort", "4421")).unwrap();
    assert_eq!(read.portal.port, Some(4421));
    refused(
        publish(&request("nvmePort", "x")),
        Kind::Invalid,
        "nvmePort",
        "port",
    );
    refused(
        publish(&request("nvmeAddress", "a;b")),
        Kind::Invalid,
        "nvmeAddress",
        "address",
    );
}

#[test]
fn lists_have_a_length_that_is_not_negative() {
    let read = |max_entries: i32, token: &str| {
        list(&csi::ListVolumesRequest {
            max_entries,
            starting_token: token.to_owned(),
        })
    };
    let expected = |token: Option<&str>, max: usize| List {
        token: token.map(str::to_owned),
        max,
    };
    assert_eq!(read(0, "").unwrap(), expected(None, usize::MAX));
    assert_eq!(read(7, ID).unwrap(), expected(Some(ID), 7));
    for bad in [-1, i32::MIN] {
        refused(
            read(bad, ""),
            Kind::Invalid,
            "max_entries",
            &bad.to_string(),
        );
    }
}

#[test]
fn validation_says_what_is_wrong_and_fails_only_without_a_question() {
    let nothing = csi::ValidateVolumeCapabilitiesRequest {
        volume_capabilities: Vec::new(),
        ..validate_request()
    };
    refused(
        validate(&nothing),
        Kind::Invalid,
        "volume_capabilities",
        "nothing",
    );
    let mixed = csi::ValidateVolumeCapabilitiesRequest {
        volume_capabilities: vec![mount(), block()],
        ..validate_request()
    };
    let context = csi::ValidateVolumeCapabilitiesRequest {
        volume_context: map("nvmePort", "x"),
        ..validate_request()
    };
    let mutable = csi::ValidateVolumeCapabilitiesRequest {
        mutable_parameters: map("iops", "1"),
        ..validate_request()
    };
    for (request, names) in [
        (mixed, "block and mount"),
        (context, "nvmePort"),
        (mutable, "mutable_parameters"),
    ] {
        let verdict = validate(&request).unwrap().verdict;
        refused(verdict, Kind::Invalid, names, names);
    }
}
