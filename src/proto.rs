//! Code generated from `proto/`: the CSI messages, servers and clients.

/// The version of the CSI specification that `csi.proto` is written after.
pub const SPECIFICATION: &str = "1.12.0";

/// The Container Storage Interface. `Debug` of its messages hides secrets and mount flags.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    missing_debug_implementations,
    missing_docs,
    rust_2018_idioms,
    single_use_lifetimes,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]
pub mod csi {
    tonic::include_proto!("csi.v1");
    include!(concat!(env!("OUT_DIR"), "/csi.v1.redact.rs"));
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::csi;

    const SECRET: &str = "hunter2";
    const STRIPPED: &str = "***stripped***";

    fn secrets() -> HashMap<String, String> {
        HashMap::from([("password".to_owned(), SECRET.to_owned())])
    }

    /// The `Debug` text of each named message with its secrets filled in.
    macro_rules! debug_with_secrets {
        ($($message:ident),+ $(,)?) => {
            [$((
                stringify!($message),
                format!("{:?}", csi::$message { secrets: secrets(), ..Default::default() }),
            )),+]
        };
    }

    #[test]
    fn debug_of_a_request_never_shows_its_secrets() {
        let rows = debug_with_secrets![
            ControllerExpandVolumeRequest,
            ControllerModifyVolumeRequest,
            ControllerPublishVolumeRequest,
            ControllerUnpublishVolumeRequest,
            CreateSnapshotRequest,
            CreateVolumeGroupSnapshotRequest,
            CreateVolumeRequest,
            DeleteSnapshotRequest,
            DeleteVolumeGroupSnapshotRequest,
            DeleteVolumeRequest,
            GetMetadataAllocatedRequest,
            GetMetadataDeltaRequest,
            GetSnapshotRequest,
            GetVolumeGroupSnapshotRequest,
            ListSnapshotsRequest,
            NodeExpandVolumeRequest,
            NodePublishVolumeRequest,
            NodeStageVolumeRequest,
            ValidateVolumeCapabilitiesRequest,
        ];
        for (message, text) in &rows {
            assert!(
                !text.contains(SECRET),
                "{message} shows a secret value: {text}"
            );
            assert!(
                !text.contains("password"),
                "{message} shows a secret's name: {text}"
            );
            assert!(
                text.contains(&format!("secrets: {STRIPPED}")),
                "{message}: {text}"
            );
        }
        let marked = include_str!("../proto/csi.proto")
            .matches("(csi_secret) = true")
            .count();
        assert_eq!(
            rows.len(),
            marked,
            "a message with secrets has no row in this test"
        );
    }

    #[test]
    fn debug_of_a_capability_hides_mount_flags_however_deep_it_is() {
        let mount = csi::volume_capability::MountVolume {
            fs_type: "xfs".to_owned(),
            mount_flags: vec![format!("password={SECRET}")],
            volume_mount_group: "1000".to_owned(),
        };
        let capability = csi::VolumeCapability {
            access_type: Some(csi::volume_capability::AccessType::Mount(mount.clone())),
            access_mode: None,
        };
        let request = csi::CreateVolumeRequest {
            volume_capabilities: vec![capability.clone()],
            ..Default::default()
        };
        for text in [
            format!("{mount:?}"),
            format!("{capability:?}"),
            format!("{request:#?}"),
        ] {
            assert!(!text.contains(SECRET), "{text}");
            assert!(text.contains(&format!("mount_flags: {STRIPPED}")), "{text}");
            assert!(
                text.contains("fs_type: \"xfs\""),
                "what is not hidden stays readable: {text}"
            );
        }
    }

    #[test]
    fn debug_of_a_request_still_shows_what_is_not_secret() {
        let request = csi::ControllerPublishVolumeRequest {
            volume_id: "pvc-1".to_owned(),
            node_id: "worker-1".to_owned(),
            readonly: true,
            secrets: secrets(),
            ..Default::default()
        };
        assert_eq!(
            format!("{request:?}"),
            "ControllerPublishVolumeRequest { volume_id: \"pvc-1\", node_id: \"worker-1\", \
             volume_capability: None, readonly: true, secrets: ***stripped***, volume_context: {} }"
        );
    }
}
