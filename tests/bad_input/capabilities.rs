//! Capabilities that are missing, mixed or not served, and calls that contradict an earlier one.

use rds_csi::proto::csi;
use rds_csi::proto::csi::VolumeCapability;
use rds_csi::proto::csi::volume_capability::access_mode::Mode;
use rds_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use tonic::Code;

use crate::room::{Room, block, capability, create, publish, validate};

fn mount(fs_type: &str, group: &str) -> VolumeCapability {
    VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume {
            fs_type: fs_type.to_owned(),
            volume_mount_group: group.to_owned(),
            ..Default::default()
        })),
        ..capability(Mode::SingleNodeWriter)
    }
}

/// One capability that is refused, and the word that says why.
fn rows() -> Vec<(VolumeCapability, &'static str)> {
    let good = || capability(Mode::SingleNodeWriter);
    let unheard_of = Some(AccessMode { mode: 99 });
    vec![
        (VolumeCapability::default(), "access_mode"),
        (
            VolumeCapability {
                access_mode: None,
                ..good()
            },
            "access_mode is missing",
        ),
        (
            VolumeCapability {
                access_type: None,
                ..good()
            },
            "access_type is missing",
        ),
        (
            VolumeCapability {
                access_mode: unheard_of,
                ..good()
            },
            "99",
        ),
        (capability(Mode::Unknown), "UNKNOWN"),
        (
            capability(Mode::MultiNodeReaderOnly),
            "MULTI_NODE_READER_ONLY",
        ),
        (
            block(Mode::MultiNodeSingleWriter),
            "MULTI_NODE_SINGLE_WRITER",
        ),
        (capability(Mode::MultiNodeMultiWriter), "two mounts"),
        (mount("btrfs", ""), "btrfs"),
        (mount("ext4\";/quit", ""), "fs_type"),
        (mount("\0", ""), "fs_type"),
        (mount("", "1000"), "volume_mount_group"),
    ]
}

#[tokio::test]
async fn a_capability_that_is_not_served_is_refused_by_every_call_that_takes_one() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    for (capability, word) in rows() {
        let case = format!("{capability:?}");
        let request = csi::CreateVolumeRequest {
            volume_capabilities: vec![capability.clone()],
            ..create("v")
        };
        let answer = client.create_volume(request).await;
        room.refused(&case, answer, Code::InvalidArgument, word);

        let request = csi::ControllerPublishVolumeRequest {
            volume_capability: Some(capability.clone()),
            ..publish(room.id.as_str(), "node-a")
        };
        let answer = client.controller_publish_volume(request).await;
        room.refused(&case, answer, Code::InvalidArgument, word);

        let request = csi::GetCapacityRequest {
            volume_capabilities: vec![capability.clone()],
            ..Default::default()
        };
        let answer = client.get_capacity(request).await;
        room.refused(&case, answer, Code::InvalidArgument, word);

        // Validation answers what it finds, and does not fail (CSI, ValidateVolumeCapabilities).
        let asked = validate(room.id.as_str(), vec![capability]);
        let answer = client.validate_volume_capabilities(asked).await;
        let answer = answer.expect(&case).into_inner();
        assert!(answer.confirmed.is_none(), "{case}");
        assert!(answer.message.contains(word), "{case}: {}", answer.message);
        room.unchanged(&case);
    }
}

#[tokio::test]
async fn capabilities_that_are_missing_or_contradict_each_other_are_refused() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let mixed = vec![
        capability(Mode::SingleNodeWriter),
        block(Mode::SingleNodeWriter),
    ];
    for (capabilities, word) in [(Vec::new(), "missing"), (mixed, "block and mount")] {
        let request = csi::CreateVolumeRequest {
            volume_capabilities: capabilities,
            ..create("v")
        };
        let answer = client.create_volume(request).await;
        room.refused(word, answer, Code::InvalidArgument, word);
    }
    let answer = client
        .validate_volume_capabilities(validate(room.id.as_str(), Vec::new()))
        .await;
    room.refused("validate", answer, Code::InvalidArgument, "missing");
    let request = csi::ControllerPublishVolumeRequest {
        volume_capability: None,
        ..publish(room.id.as_str(), "node-a")
    };
    let answer = client.controller_publish_volume(request).await;
    room.refused("publish", answer, Code::InvalidArgument, "missing");
}

#[tokio::test]
async fn what_is_not_offered_is_refused_and_not_ignored() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let request = csi::ControllerPublishVolumeRequest {
        readonly: true,
        ..publish(room.id.as_str(), "node-a")
    };
    let answer = client.controller_publish_volume(request).await;
    room.refused("readonly", answer, Code::InvalidArgument, "readonly");

    let request = csi::CreateVolumeRequest {
        volume_content_source: Some(csi::VolumeContentSource::default()),
        ..create("v")
    };
    let answer = client.create_volume(request).await;
    room.refused("source", answer, Code::InvalidArgument, "content_source");

    let request = csi::CreateVolumeRequest {
        mutable_parameters: [("a".to_owned(), "b".to_owned())].into(),
        ..create("v")
    };
    let answer = client.create_volume(request).await;
    room.refused("mutable", answer, Code::InvalidArgument, "mutable");
}

#[tokio::test]
async fn a_second_publish_in_another_way_is_refused_and_the_first_one_stands() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    for other in [
        capability(Mode::SingleNodeSingleWriter),
        capability(Mode::SingleNodeReaderOnly),
        block(Mode::SingleNodeWriter),
        mount("xfs", ""),
    ] {
        let case = format!("{other:?}");
        let request = csi::ControllerPublishVolumeRequest {
            volume_capability: Some(other),
            ..publish(room.id.as_str(), "node-a")
        };
        let answer = client.controller_publish_volume(request).await;
        room.refused(&case, answer, Code::AlreadyExists, "another way");
    }
    let same = publish(room.id.as_str(), "node-a");
    client.controller_publish_volume(same).await.unwrap();
    room.unchanged("the same again");
    let elsewhere = publish(room.id.as_str(), "node-b");
    let answer = client.controller_publish_volume(elsewhere).await;
    room.refused("elsewhere", answer, Code::FailedPrecondition, "node-a");
}
