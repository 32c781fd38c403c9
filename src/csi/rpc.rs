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

    /// The call as it is named on the wire.
    pub const fn method(self) -> &'static str {
        match self {
            Self::GetPluginInfo => "csi.v1.Identity/GetPluginInfo",
            Self::GetPluginCapabilities => "csi.v1.Identity/GetPluginCapabilities",
            Self::Probe => "csi.v1.Identity/Probe",
            Self::CreateVolume => "csi.v1.Controller/CreateVolume",
            Self::DeleteVolume => "csi.v1.Controller/DeleteVolume",
            Self::ControllerPublishVolume => "csi.v1.Controller/ControllerPublishVolume",
            Self::ControllerUnpublishVolume => "csi.v1.Controller/ControllerUnpublishVolume",
            Self::ValidateVolumeCapabilities => "csi.v1.Controller/ValidateVolumeCapabilities",
            Self::ListVolumes => "csi.v1.Controller/ListVolumes",
            Self::GetCapacity => "csi.v1.Controller/GetCapacity",
            Self::ControllerGetCapabilities => "csi.v1.Controller/ControllerGetCapabilities",
            Self::ControllerExpandVolume => "csi.v1.Controller/ControllerExpandVolume",
            Self::ControllerGetVolume => "csi.v1.Controller/ControllerGetVolume",
            Self::ControllerModifyVolume => "csi.v1.Controller/ControllerModifyVolume",
            Self::CreateSnapshot => "csi.v1.Controller/CreateSnapshot",
            Self::DeleteSnapshot => "csi.v1.Controller/DeleteSnapshot",
            Self::ListSnapshots => "csi.v1.Controller/ListSnapshots",
            Self::GetSnapshot => "csi.v1.Controller/GetSnapshot",
        }
    }

    /// The name alone, which no other call has.
    pub fn name(self) -> &'static str {
        let method = self.method();
        method.rsplit_once('/').map_or(method, |(_, name)| name)
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
        for spelling in [Rpc::method, Rpc::name] {
            let names: HashSet<_> = Rpc::ALL.map(spelling).into_iter().collect();
            assert_eq!(names.len(), Rpc::ALL.len());
        }
    }
}
