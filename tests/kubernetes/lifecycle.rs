//! The life of a volume, from a claim to nothing.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use testbed::bed::Bed;
use testbed::trouble::Trouble;
use testbed::workload::{LONG, PodWanted};
use tokio::time::Instant;

/// Everything a user sees of one volume: made for a claim, attached for a pod, written to by the pod's
/// machine alone, detached when the pod goes, and gone from Kubernetes and from the RDS when the claim
/// goes.
pub(crate) async fn a_pod_with_a_claim_gets_its_volume_and_gives_it_back(
    bed: &Bed,
) -> Result<(), Trouble> {
    let user = bed.workload();
    let start = Instant::now();
    user.claim("data").await?;
    let volume = user.bound("data", LONG).await?;
    bed.took("claim to volume", start);
    assert!(bed.sim().world().disk(&volume.handle).is_some());

    let start = Instant::now();
    let pod = PodWanted {
        name: "app",
        claims: &["data"],
        ..PodWanted::default()
    };
    user.pod(&pod).await?;
    let node = user.running("app", LONG).await?;
    bed.took("pod to running", start);
    let attachment = user.attached(&volume, &node, LONG).await?;
    let told = attachment
        .status
        .and_then(|status| status.attachment_metadata);
    assert!(told.is_some_and(|told| told.contains_key("nvme_hostnqn")));
    let machine = bed.node(&node)?.machine();
    bed.writes(&machine, 5, LONG).await?;
    let event = user.event("pvc/data", &["VolumeAttached"], LONG).await?;
    bed.note("kubectl events", event);

    let start = Instant::now();
    user.delete::<Pod>("app").await?;
    user.gone(user.here::<Pod>(), "app", LONG).await?;
    user.detached(&volume, &node, LONG).await?;
    bed.took("pod deleted to detached", start);
    assert!(bed.sim().world().sessions().is_empty());

    let start = Instant::now();
    user.delete::<PersistentVolumeClaim>("data").await?;
    user.gone(user.all::<PersistentVolume>(), &volume.name, LONG)
        .await?;
    bed.took("claim deleted to volume gone", start);
    assert!(bed.sim().world().disk(&volume.handle).is_none());
    let files = bed.sim().world().files();
    assert!(
        !files.iter().any(|file| file.contains(&volume.handle)),
        "{files:?}"
    );
    let exits = bed.deployment().exits().unasked();
    assert!(exits.is_empty(), "{exits:?}");
    Ok(())
}
