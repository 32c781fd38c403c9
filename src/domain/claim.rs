//! Claims: what VolumeAttachments say about who should be using a volume.
//!
//! The register on the RDS says who can connect; claims say who is meant to. A leader needs both: a
//! grant without a claim is an orphan, a claim without its grant is a node that lost its disk.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::domain::id::{NodeId, VolumeId, hex};
use crate::domain::names::Names;

/// One VolumeAttachment of this driver, reduced to what decisions rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which one: an attachment that was deleted and made again has the old name and another uid.
    pub attachment: Attachment,
    /// The volume.
    pub volume: VolumeId,
    /// The node, by the id that its node plugin reports.
    pub node: NodeId,
    /// Whether the node is to have the volume, or to lose it.
    pub wish: Wish,
    /// `status.attached`: a Publish was answered OK, and external-attacher recorded that.
    pub attached: bool,
    /// The names in `status.attachmentMetadata`: what the node was told, and goes on using.
    pub told: Option<Names>,
    /// The subsystem name of the pair whose one chance to come back is spent: a line that brings it
    /// back was sent, or somebody else may have had the volume since its node was told it.
    pub remade: Option<String>,
    /// ReadWriteMany raw block. Where the PersistentVolume is gone, this is false: the safe side.
    pub shared: bool,
}

/// Which object in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The state of it that was read.
    pub resource_version: String,
}

/// What a VolumeAttachment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    /// It exists and is not being deleted.
    Attach,
    /// It is being deleted, and external-attacher has not let go of it: the node counts as using the
    /// volume until ControllerUnpublishVolume has succeeded.
    Detach,
}

/// What Kubernetes knows of the machine behind a node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// There is a Node object.
    Present,
    /// There is one, and somebody vouches that the machine is off
    /// (taint `node.kubernetes.io/out-of-service`).
    OutOfService,
    /// There is none. No proof of death: the machine may still be writing, so it is cut off on the
    /// RDS before anybody else is let in.
    Gone,
}

/// Every claim there is, as one reading found them.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// By volume, in order of attachment name.
    pub claims: HashMap<VolumeId, Vec<Claim>>,
    /// The machines behind the nodes of those claims.
    pub presence: HashMap<NodeId, Presence>,
    /// Volumes with a row that could not be resolved, and why. They are not served; others are.
    pub blocked: HashMap<VolumeId, String>,
    /// Names of attachments of this driver that belong to no volume that could be found: their
    /// PersistentVolume is gone, and no volume on the RDS gives them their name.
    pub unresolved: Vec<String>,
}

/// The PersistentVolumeClaim that a volume was made for: where people look for what happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PvcRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, where the PersistentVolume tells it. Without it `kubectl events` shows an event, and
    /// `kubectl describe` does not.
    pub uid: Option<String>,
    /// The PersistentVolume between the two.
    pub volume_name: String,
}

// === impl Attachment ===

impl Attachment {
    /// The name that Kubernetes gives the attachment of a volume to a node (kube-controller-manager,
    /// `getAttachmentName`): nothing separates the three texts.
    pub fn name_of(volume: &VolumeId, driver: &str, node_name: &str) -> String {
        let digest = Sha256::new_with_prefix(volume.as_str().as_bytes())
            .chain_update(driver.as_bytes())
            .chain_update(node_name.as_bytes())
            .finalize();
        format!("csi-{}", hex(&digest))
    }
}

/// One volume, as Kubernetes was last seen to have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// The claims on it.
    pub claims: Vec<Claim>,
    /// The machines behind them.
    pub presence: HashMap<NodeId, Presence>,
    /// Whether a PersistentVolume has it for its handle.
    pub is_known: bool,
}

// === impl Claim ===

impl Claim {
    /// Whether its node was told names and may be using the volume under them.
    pub fn is_in_use(&self) -> bool {
        self.wish == Wish::Attach && self.attached && self.told.is_some()
    }

    /// Whether both nodes were told the names of one grant that they share.
    pub fn shares_with(&self, other: &Self) -> bool {
        self.shared && other.shared && self.told == other.told
    }

    /// Whether the names that its node was told had their one chance to come back.
    pub fn is_spent(&self) -> bool {
        let told = self.told.as_ref();
        self.remade.is_some() && self.remade == told.and_then(|names| names.subsystem.clone())
    }
}

// === impl Wish ===

impl Wish {
    /// What an attachment asks for; `None` if it asks for nothing any more.
    ///
    /// external-attacher removes its finalizer only once ControllerUnpublishVolume has succeeded, and
    /// before it clears the status: deleted without that finalizer means detached, whatever
    /// `attached` says. A finalizer that was stripped from a live attachment changes nothing.
    pub const fn of(deleting: bool, has_our_finalizer: bool) -> Option<Self> {
        match (deleting, has_our_finalizer) {
            (false, _) => Some(Self::Attach),
            (true, true) => Some(Self::Detach),
            (true, false) => None,
        }
    }
}

// === impl Survey ===

impl Survey {
    /// The claims on one volume.
    pub fn on(&self, volume: &VolumeId) -> &[Claim] {
        self.claims.get(volume).map_or(&[], Vec::as_slice)
    }

    /// The machine behind a node id. One that was not looked up counts as present: only a reading
    /// that found nothing says that a node is gone.
    pub fn presence(&self, node: &NodeId) -> Presence {
        let known = self.presence.get(node).copied();
        known.unwrap_or(Presence::Present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_has_the_name_that_sha256sum_gives_it() {
        let volume = "csi-0123456789abcdef0123456789ab".parse().unwrap();
        assert_eq!(
            Attachment::name_of(&volume, "rds.csi.srvlab.io", "node-1"),
            "csi-ab3f2b31f15367556d0411ab9f94076655fdd63183de0baab9afd06e5f16c875"
        );
    }

    #[test]
    fn an_attachment_asks_until_external_attacher_has_let_go_of_it() {
        let rows = [
            ((false, true), Some(Wish::Attach)),
            // Publish was never sent, or somebody stripped the finalizer.
            ((false, false), Some(Wish::Attach)),
            ((true, true), Some(Wish::Detach)),
            // Unpublish succeeded; somebody else's finalizer keeps the object.
            ((true, false), None),
        ];
        for ((deleting, finalizer), expected) in rows {
            assert_eq!(Wish::of(deleting, finalizer), expected);
        }
    }
}
