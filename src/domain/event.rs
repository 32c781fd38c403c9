//! What people are told in `kubectl events`: things that happened to a volume, or to the leader.

use std::time::Duration;

use crate::domain::grant::FencingMode;
use crate::domain::id::{NodeId, VolumeId};
use crate::domain::leadership::Epoch;

/// Something worth an event in Kubernetes. Nodes are text where they come from names on the RDS: a
/// long node id is shortened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The term in which it happened.
    pub epoch: Epoch,
    /// What happened.
    pub what: What,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// ControllerPublishVolume was refused, since another node holds the volume.
    AttachmentConflict {
        /// The volume.
        volume: VolumeId,
        /// Who holds it.
        holder: String,
        /// Who asked for it.
        asking: NodeId,
    },
    /// A node was told how to connect.
    VolumeAttached {
        /// The volume.
        volume: VolumeId,
        /// The node.
        node: NodeId,
        /// From the call to the read-back.
        took: Duration,
    },
    /// A node can no longer connect.
    VolumeDetached {
        /// The volume.
        volume: VolumeId,
        /// The node; `None` for every node.
        node: Option<NodeId>,
    },
    /// A node that is gone was cut off, so that others can have the volume.
    StaleAttachmentCleared {
        /// The volume.
        volume: VolumeId,
        /// The node that is gone.
        node: String,
        /// How that is known.
        why: &'static str,
    },
    /// A second node has a shared volume: a live migration begins.
    MigrationStarted {
        /// The volume.
        volume: VolumeId,
        /// Who has it.
        from: String,
        /// Who gets it as well.
        to: NodeId,
    },
    /// The first node has left, the second keeps the volume.
    MigrationCompleted {
        /// The volume.
        volume: VolumeId,
        /// Who left. It is not fenced before the last one leaves.
        left: NodeId,
        /// Who keeps it.
        kept: String,
    },
    /// The second node has left, the first keeps the volume.
    MigrationFailed {
        /// The volume.
        volume: VolumeId,
        /// Who left. It is not fenced before the last one leaves.
        left: NodeId,
        /// Who keeps it.
        kept: String,
    },
    /// The RDS had lost or changed a grant, and it stands again as its node knows it.
    GrantRepaired {
        /// The volume.
        volume: VolumeId,
        /// The node.
        node: String,
    },
    /// The RDS has lost a grant that cannot be brought back safely.
    GrantLost {
        /// The volume.
        volume: VolumeId,
        /// The node.
        node: String,
        /// Why it cannot.
        why: &'static str,
    },
    /// A grant that no VolumeAttachment asks for.
    OrphanFound {
        /// The volume.
        volume: VolumeId,
        /// The node that its names give.
        node: String,
    },
    /// The device cannot enforce all that it should.
    FencingDegraded {
        /// What it can.
        mode: FencingMode,
    },
    /// This replica serves calls now.
    LeaderElected {
        /// From the Lease being ours to the first call that can be served.
        took: Duration,
    },
}

// === impl What ===

impl What {
    /// The volume it is about; `None` if it is about the controller.
    pub fn volume(&self) -> Option<&VolumeId> {
        match self {
            Self::AttachmentConflict { volume, .. }
            | Self::VolumeAttached { volume, .. }
            | Self::VolumeDetached { volume, .. }
            | Self::StaleAttachmentCleared { volume, .. }
            | Self::MigrationStarted { volume, .. }
            | Self::MigrationCompleted { volume, .. }
            | Self::MigrationFailed { volume, .. }
            | Self::GrantRepaired { volume, .. }
            | Self::GrantLost { volume, .. }
            | Self::OrphanFound { volume, .. } => Some(volume),
            Self::FencingDegraded { .. } | Self::LeaderElected { .. } => None,
        }
    }
}
