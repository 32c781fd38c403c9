//! The calls of the CSI specification, as a closed set.

/// Every call that this driver is asked, one by one: the same failure can need another code in
/// another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the CSI specification")]
pub enum Rpc {
    GetPluginInfo,
    GetPluginCapabilities,
    Probe,
    CreateVolume,
    DeleteVolume,
    ControllerPublishVolume,
    ControllerUnpublishVolume,
    ValidateVolumeCapabilities,
    ListVolumes,
    GetCapacity,
    ControllerGetCapabilities,
    ControllerExpandVolume,
    ControllerGetVolume,
    ControllerModifyVolume,
    CreateSnapshot,
    DeleteSnapshot,
    ListSnapshots,
    GetSnapshot,
}

// === impl Rpc ===

impl Rpc {
    /// Every call, for tables that must not miss one.
    pub const ALL: [Self; 18] = [
        Self::GetPluginInfo,
        Self::GetPluginCapabilities,
        Self::Probe,
        Self::CreateVolume,
        Self::DeleteVolume,
        Self::ControllerPublishVolume,
        Self::ControllerUnpublishVolume,
        Self::ValidateVolumeCapabilities,
        Self::ListVolumes,
        Self::GetCapacity,
        Self::ControllerGetCapabilities,
        Self::ControllerExpandVolume,
        Self::ControllerGetVolume,
        Self::ControllerModifyVolume,
        Self::CreateSnapshot,
        Self::DeleteSnapshot,
        Self::ListSnapshots,
        Self::GetSnapshot,
    ];

    /// The service it is a call of.
    pub const fn service(self) -> &'static str {
        match self {
            Self::GetPluginInfo | Self::GetPluginCapabilities | Self::Probe => "csi.v1.Identity",
            Self::CreateVolume
            | Self::DeleteVolume
            | Self::ControllerPublishVolume
            | Self::ControllerUnpublishVolume
            | Self::ValidateVolumeCapabilities
            | Self::ListVolumes
            | Self::GetCapacity
            | Self::ControllerGetCapabilities
            | Self::ControllerExpandVolume
            | Self::ControllerGetVolume
            | Self::ControllerModifyVolume
            | Self::CreateSnapshot
            | Self::DeleteSnapshot
            | Self::ListSnapshots
            | Self::GetSnapshot => "csi.v1.Controller",
        }
    }

    /// Its name in that service, as on the wire.
    pub const fn method(self) -> &'static str {
        match self {
            Self::GetPluginInfo => "GetPluginInfo",
            Self::GetPluginCapabilities => "GetPluginCapabilities",
            Self::Probe => "Probe",
            Self::CreateVolume => "CreateVolume",
            Self::DeleteVolume => "DeleteVolume",
            Self::ControllerPublishVolume => "ControllerPublishVolume",
            Self::ControllerUnpublishVolume => "ControllerUnpublishVolume",
            Self::ValidateVolumeCapabilities => "ValidateVolumeCapabilities",
            Self::ListVolumes => "ListVolumes",
            Self::GetCapacity => "GetCapacity",
            Self::ControllerGetCapabilities => "ControllerGetCapabilities",
            Self::ControllerExpandVolume => "ControllerExpandVolume",
            Self::ControllerGetVolume => "ControllerGetVolume",
            Self::ControllerModifyVolume => "ControllerModifyVolume",
            Self::CreateSnapshot => "CreateSnapshot",
            Self::DeleteSnapshot => "DeleteSnapshot",
            Self::ListSnapshots => "ListSnapshots",
            Self::GetSnapshot => "GetSnapshot",
        }
    }

    /// Whether a success of this call is worth a line in the log: something may have changed.
    pub const fn changes_state(self) -> bool {
        match self {
            Self::CreateVolume
            | Self::DeleteVolume
            | Self::ControllerPublishVolume
            | Self::ControllerUnpublishVolume
            | Self::ControllerExpandVolume
            | Self::ControllerModifyVolume
            | Self::CreateSnapshot
            | Self::DeleteSnapshot => true,
            Self::GetPluginInfo
            | Self::GetPluginCapabilities
            | Self::Probe
            | Self::ValidateVolumeCapabilities
            | Self::ListVolumes
            | Self::GetCapacity
            | Self::ControllerGetCapabilities
            | Self::ControllerGetVolume
            | Self::ListSnapshots
            | Self::GetSnapshot => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_call_has_a_name_of_its_own() {
        let methods: HashSet<_> = Rpc::ALL.map(Rpc::method).into_iter().collect();
        assert_eq!(methods.len(), Rpc::ALL.len());
    }
}
