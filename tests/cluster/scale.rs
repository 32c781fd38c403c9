//! Ten thousand attachments: nothing is lost between pages.

use std::collections::HashSet;

use rds_csi::domain::claim::Attachment;
use rds_csi::domain::id::{ClusterId, VolumeId};
use rds_csi::ports::Cluster;
use serde_json::json;

use super::fixture::{Bed, DRIVER, node, nodes};

/// How many volumes there are, each attached to one of this many nodes, in pages of 500.
const ATTACHED: usize = 10_000;
const NODES: usize = 50;
const PAGES: u64 = 20;
/// Of so many volumes the PersistentVolume is gone.
const LOST: usize = 20;

fn volume(at: usize) -> VolumeId {
    let cluster: ClusterId = "scale".parse().unwrap();
    VolumeId::derive(&cluster, &format!("pvc-{at}"))
}

async fn populated() -> Bed {
    let bed = Bed::new().await;
    for at in 0..NODES {
        let name = format!("node-{at}");
        bed.node(&name, &name);
    }
    for at in 0..ATTACHED {
        let (id, pv, node) = (
            volume(at),
            format!("pv-{at}"),
            format!("node-{}", at % NODES),
        );
        let csi = json!({"csi": {"driver": DRIVER, "volumeHandle": id.as_str()}});
        if at >= LOST {
            bed.volume_as('0', &pv, &csi);
        }
        bed.attach_with('0', &node, |object| {
            object["metadata"]["name"] = json!(Attachment::name_of(&id, DRIVER, &node));
            object["spec"]["source"]["persistentVolumeName"] = json!(pv);
        });
    }
    bed
}

#[tokio::test]
async fn ten_thousand_attachments_are_all_found_and_all_mirrored() {
    let bed = populated().await;
    let slots: HashSet<VolumeId> = (0..ATTACHED).map(volume).collect();
    let survey = bed.cluster.survey(&slots).await.unwrap();
    assert_eq!(survey.claims.len(), ATTACHED);
    assert_eq!(survey.presence.len(), NODES);
    assert!(survey.unresolved.is_empty() && survey.blocked.is_empty());
    assert_eq!(bed.lists(), PAGES);

    let bed = bed.watching().await;
    let counts = bed.cluster.counts();
    assert_eq!(counts.attachments, ATTACHED);
    assert_eq!(counts.volumes, ATTACHED - LOST);
    assert_eq!(bed.cluster.watched(&volume(LOST)).unwrap().claims.len(), 1);

    for at in [0, LOST, ATTACHED - 1] {
        let claims = bed.cluster.claims_on(&volume(at)).await.unwrap();
        assert_eq!(nodes(&claims), [format!("node-{}", at % NODES)]);
    }
    let id = node(&format!("node-{}", (ATTACHED - 1) % NODES));
    let claim = bed.cluster.claim(&volume(ATTACHED - 1), &id).await;
    assert!(claim.unwrap().is_some());
}
