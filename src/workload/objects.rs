//! Names that Kubernetes gives, and what both sides read in its objects.

use std::fmt::Write as _;

use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

/// Under this annotation external-attacher remembers the node id on a VolumeAttachment, for the day
/// on which the node is gone.
pub(super) const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";

/// The name that kube-controller-manager gives the VolumeAttachment of a volume and a node
/// (`getAttachmentName`): always the same one, so that it cannot make two.
pub fn attachment_name(handle: &str, driver: &str, node_name: &str) -> String {
    let digest = Sha256::digest(format!("{handle}{driver}{node_name}"));
    let mut name = "csi-".to_owned();
    for byte in digest {
        write!(name, "{byte:02x}").expect("a string can always be written to");
    }
    name
}

/// The finalizer of external-attacher, on VolumeAttachments and PersistentVolumes
/// (`GetFinalizerName`): what a qualified name may not contain becomes a dash.
pub fn finalizer_name(driver: &str) -> String {
    let plain = |letter: char| {
        let fits = letter.is_ascii_alphanumeric() || letter == '-';
        if fits { letter } else { '-' }
    };
    let mut name: String = driver.chars().map(plain).collect();
    if name.ends_with('-') {
        name.push('X');
    }
    format!("external-attacher/{name}")
}

/// The id under which the node plugin of a driver registered on a node.
pub(super) fn node_id<'a>(node: &'a CSINode, driver: &str) -> Option<&'a str> {
    let mut drivers = node.spec.drivers.iter();
    let found = drivers.find(|entry| entry.name == driver)?;
    Some(&found.node_id)
}

/// Whether external-attacher's finalizer is on the object.
pub(super) fn has_finalizer<K: kube::Resource>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|name| name == finalizer)
}

/// Whether the object is being deleted.
pub(super) fn is_leaving<K: kube::Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Whether the attachment counts as made.
pub(super) fn is_attached(attachment: &VolumeAttachment) -> bool {
    let status = attachment.status.as_ref();
    status.is_some_and(|status| status.attached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_named_as_kubernetes_names_it() {
        // Computed with sha256sum over "csi-1rds.csi.srvlab.ionode-a".
        let name = attachment_name("csi-1", "rds.csi.srvlab.io", "node-a");
        assert_eq!(name.len(), "csi-".len() + 64);
        assert_eq!(name, SHA);
        assert_ne!(
            name,
            attachment_name("csi-1", "rds.csi.srvlab.io", "node-b")
        );
    }

    const SHA: &str = "csi-75a9669f6a38c045bd4d72cb8a2145d9812ee00823a670c7dc0b92ffd2d9ce81";

    #[test]
    fn a_finalizer_is_a_qualified_name() {
        for (driver, finalizer) in [
            ("rds.csi.srvlab.io", "external-attacher/rds-csi-srvlab-io"),
            ("a-b.c", "external-attacher/a-b-c"),
            ("a.", "external-attacher/a-X"),
        ] {
            assert_eq!(finalizer_name(driver), finalizer);
        }
    }
}
