//! One volume as rows of tables have it: its register, and the VolumeAttachments on it.

use rds_csi::domain::event::What;
use rds_csi::domain::id::VolumeId;
use serde_json::json;

use crate::leader::Leader;
use crate::town::{Town, names, told};

/// A node without any object in Kubernetes.
pub(crate) const GONE: &str = "gone";
/// A node that somebody vouches is off.
pub(crate) const OFF: &str = "off";

/// What stands on the RDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reg {
    Free,
    /// The pair that the node was told, exported.
    Granted(&'static str),
    /// The same, not exported.
    Prepared(&'static str),
    /// Another pair for the node, exported.
    Other(&'static str),
    /// Free names, exported.
    Stray,
    /// Names of nobody, exported.
    Garbage,
}

/// An attachment of a volume to a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Va {
    /// Publish was never answered, as far as it says.
    Wants(&'static str),
    /// The same, and the last try failed.
    Failed(&'static str),
    /// external-attacher has not even put its finalizer on it.
    New(&'static str),
    Attached(&'static str),
    /// Attached, and somebody has stripped the finalizer.
    Stripped(&'static str),
    /// Attached, and its one chance to come back is spent.
    Spent(&'static str),
    Leaves(&'static str),
    /// Deleted, detached, and kept by somebody else's finalizer.
    Left(&'static str),
}

/// A row: what there is.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) register: Reg,
    pub(crate) claims: Vec<Va>,
}

pub(crate) fn scene<const N: usize>(register: Reg, claims: [Va; N]) -> Scene {
    Scene {
        register,
        claims: claims.into(),
    }
}

/// The pair that a node was told.
const TOLD: u64 = 1;
/// One that it was not.
const UNTOLD: u64 = 2;

// === impl Reg ===

impl Reg {
    /// What it is on the RDS.
    pub(crate) fn of(self, id: &VolumeId) -> (String, String, bool) {
        let (names, exported) = match self {
            Self::Free => (names(id, "free", TOLD), false),
            Self::Granted(node) => (names(id, node, TOLD), true),
            Self::Prepared(node) => (names(id, node, TOLD), false),
            Self::Other(node) => (names(id, node, UNTOLD), true),
            Self::Stray => (names(id, "free", UNTOLD), true),
            Self::Garbage => {
                let mut names = names(id, "free", TOLD);
                names.host = Some("nqn.2014-08.org.nvmexpress:uuid:somebody".to_owned());
                (names, true)
            }
        };
        let text = |name: Option<String>| name.unwrap_or_default();
        (text(names.subsystem), text(names.host), exported)
    }

    /// Whether the RDS has it so. Any free names will do.
    pub(crate) fn stands(self, town: &Town, id: &VolumeId) -> bool {
        match self {
            Self::Free => town.is_free(id),
            _ => town.register(id) == self.of(id),
        }
    }
}

// === impl Va ===

impl Va {
    fn place(self, town: &Town, id: &VolumeId) {
        let node = match self {
            Self::Wants(node)
            | Self::Failed(node)
            | Self::New(node)
            | Self::Attached(node)
            | Self::Stripped(node)
            | Self::Spent(node)
            | Self::Leaves(node)
            | Self::Left(node) => node,
        };
        town.want(id, node);
        let pair = names(id, node, TOLD);
        let is_attached = !matches!(self, Self::Wants(_) | Self::Failed(_) | Self::New(_));
        if is_attached {
            town.attached(id, node, &told(&pair));
        }
        match self {
            Self::Wants(_) | Self::Attached(_) => {}
            Self::Failed(_) => town.edit(id, node, |object| {
                let error = json!({"message": "no", "time": "2026-01-01T00:00:00Z"});
                object["status"]["attachError"] = error;
            }),
            Self::New(_) => town.edit(id, node, |object| {
                object["metadata"]["finalizers"] = json!([]);
                object["metadata"]["annotations"] = json!({});
            }),
            Self::Stripped(_) => town.edit(id, node, |object| {
                object["metadata"]["finalizers"] = json!([]);
            }),
            Self::Spent(_) => town.edit(id, node, |object| {
                object["metadata"]["annotations"][crate::town::REMADE] = json!(pair.subsystem);
            }),
            Self::Leaves(_) => town.unwant(id, node),
            Self::Left(_) => {
                town.unwant(id, node);
                town.edit(id, node, |object| {
                    object["metadata"]["finalizers"] = json!(["somebody/else"]);
                });
            }
        }
    }
}

// === impl Scene ===

impl Scene {
    /// Volumes with these rows on a town where nobody leads any more. Their order is that of the rows.
    pub(crate) async fn set(town: &Town, scenes: impl IntoIterator<Item = &Self>) -> Vec<VolumeId> {
        town.node(OFF);
        town.out_of_service(OFF);
        let first = town.lazy_leader(1).await;
        let mut ids = Vec::new();
        for (row, scene) in scenes.into_iter().enumerate() {
            let id = first.create(town, &format!("row-{row}")).await;
            let (subsystem, host, exported) = scene.register.of(&id);
            town.by_hand(&id, &subsystem, &host, exported).await;
            for claim in &scene.claims {
                claim.place(town, &id);
            }
            ids.push(id);
        }
        ids
    }
}

// === impl Leader ===

impl Leader {
    /// The reasons of the events about a volume, in order.
    pub(crate) fn reasons(&self, id: &VolumeId) -> Vec<&'static str> {
        self.told(id).iter().map(reason).collect()
    }
}

fn reason(what: &What) -> &'static str {
    match what {
        What::AttachmentConflict { .. } => "AttachmentConflict",
        What::VolumeAttached { .. } => "VolumeAttached",
        What::VolumeDetached { .. } => "VolumeDetached",
        What::StaleAttachmentCleared { .. } => "StaleAttachmentCleared",
        What::MigrationStarted { .. } => "MigrationStarted",
        What::MigrationCompleted { .. } => "MigrationCompleted",
        What::MigrationFailed { .. } => "MigrationFailed",
        What::GrantRepaired { .. } => "GrantRepaired",
        What::GrantLost { .. } => "GrantLost",
        What::OrphanFound { .. } => "OrphanFound",
        What::FencingDegraded { .. } => "FencingDegraded",
        What::LeaderElected { .. } => "LeaderElected",
    }
}
