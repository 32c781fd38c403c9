//! The room that every row is tried in: a served controller, a volume, and what the device held.

use rds_csi::domain::id::VolumeId;
use rds_csi::proto::csi;
use rds_csi::proto::csi::volume_capability::access_mode::Mode;
use rds_csi::proto::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use tonic::{Code, Response, Status};

use crate::bed::{Bed, Replica};
use crate::socket::Socket;

/// Text that means something to RouterOS, to a shell, to a file system, or to nobody.
pub(crate) const NASTY: [&str; 16] = [
    "a\"b",
    "\";/disk remove [find];\"",
    "$s",
    "[find]",
    "a;b",
    "a\nb",
    "a\r\nb",
    "a\0b",
    "a b",
    "a\\b",
    "a{b}",
    "../../flash",
    "größe",
    "\u{202e}gpj",
    "a\u{7f}",
    "'`~|&<>",
];

pub(crate) struct Room {
    pub(crate) bed: Bed,
    pub(crate) socket: Socket,
    /// A volume that is attached to `node-a`.
    pub(crate) id: VolumeId,
    _replica: Replica,
    before: Vec<String>,
}

impl Room {
    pub(crate) async fn new() -> Self {
        let bed = Bed::new();
        let replica = bed.controller().await;
        let id = replica.create("there").await.unwrap();
        replica.publish(&id, "node-a").await.unwrap();
        let socket = Socket::serve(&replica.volumes).await;
        let before = everything(&bed);
        Self {
            bed,
            socket,
            id,
            _replica: replica,
            before,
        }
    }

    /// The call was refused with this code and a message with this word, and changed nothing.
    #[track_caller]
    pub(crate) fn refused<T: std::fmt::Debug>(
        &self,
        case: &str,
        answer: Result<Response<T>, Status>,
        code: Code,
        word: &str,
    ) {
        let status = answer.expect_err(case);
        assert_eq!(status.code(), code, "{case}: {status:?}");
        let message = status.message();
        assert!(message.contains(word), "{case}: no {word:?} in {message:?}");
        assert!(
            !message.contains(char::is_control),
            "{case}: control characters in {message:?}"
        );
        self.unchanged(case);
    }

    #[track_caller]
    pub(crate) fn unchanged(&self, case: &str) {
        assert_eq!(everything(&self.bed), self.before, "{case}");
    }
}

/// Everything on the device, as text.
fn everything(bed: &Bed) -> Vec<String> {
    let disks = bed.world().disks();
    let disks = disks.iter().map(|disk| format!("{disk:?}"));
    disks.chain(bed.world().files()).collect()
}

pub(crate) fn capability(mode: Mode) -> csi::VolumeCapability {
    csi::VolumeCapability {
        access_mode: Some(AccessMode { mode: mode.into() }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}

pub(crate) fn block(mode: Mode) -> csi::VolumeCapability {
    csi::VolumeCapability {
        access_type: Some(AccessType::Block(BlockVolume {})),
        ..capability(mode)
    }
}

pub(crate) fn create(name: &str) -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest {
        name: name.to_owned(),
        volume_capabilities: vec![capability(Mode::SingleNodeWriter)],
        ..Default::default()
    }
}

pub(crate) fn publish(id: &str, node: &str) -> csi::ControllerPublishVolumeRequest {
    csi::ControllerPublishVolumeRequest {
        volume_id: id.to_owned(),
        node_id: node.to_owned(),
        volume_capability: Some(capability(Mode::SingleNodeWriter)),
        ..Default::default()
    }
}

pub(crate) fn unpublish(id: &str, node: &str) -> csi::ControllerUnpublishVolumeRequest {
    csi::ControllerUnpublishVolumeRequest {
        volume_id: id.to_owned(),
        node_id: node.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn expand(id: &str, required: i64, limit: i64) -> csi::ControllerExpandVolumeRequest {
    csi::ControllerExpandVolumeRequest {
        volume_id: id.to_owned(),
        capacity_range: Some(csi::CapacityRange {
            required_bytes: required,
            limit_bytes: limit,
        }),
        ..Default::default()
    }
}

pub(crate) fn delete(id: &str) -> csi::DeleteVolumeRequest {
    csi::DeleteVolumeRequest {
        volume_id: id.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn validate(
    id: &str,
    capabilities: Vec<csi::VolumeCapability>,
) -> csi::ValidateVolumeCapabilitiesRequest {
    csi::ValidateVolumeCapabilitiesRequest {
        volume_id: id.to_owned(),
        volume_capabilities: capabilities,
        ..Default::default()
    }
}

pub(crate) fn get(id: &str) -> csi::ControllerGetVolumeRequest {
    csi::ControllerGetVolumeRequest {
        volume_id: id.to_owned(),
    }
}
