//! The parts of a control plane.

/// A process of the control plane, in the order in which they are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// kube-scheduler: gives pods their nodes.
    Scheduler,
    /// kube-controller-manager: among much else it makes and deletes VolumeAttachments.
    ControllerManager,
    /// kube-apiserver.
    ApiServer,
    /// etcd: holds all objects.
    Etcd,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Scheduler,
        Self::ControllerManager,
        Self::ApiServer,
        Self::Etcd,
    ];

    /// The name of its program.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Scheduler => "kube-scheduler",
            Self::ControllerManager => "kube-controller-manager",
            Self::ApiServer => "kube-apiserver",
            Self::Etcd => "etcd",
        }
    }

    /// Whether it takes part in a control plane that only serves the API.
    pub(super) fn serves_api(self) -> bool {
        matches!(self, Self::ApiServer | Self::Etcd)
    }
}
