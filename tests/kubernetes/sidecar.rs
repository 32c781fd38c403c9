//! A sidecar that ends alone.

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use rds_csi::workload::cluster::Blow;
use testbed::bed::Bed;
use testbed::pod::Pod;
use testbed::trouble::Trouble;
use testbed::watch::until;
use testbed::workload::{LONG, PodWanted, Volume};
use tokio::time::Instant;

use crate::crowd::Crowd;

pub(crate) async fn a_sidecar_killed_alone_is_started_again_and_its_leader_leads_on(
    bed: &Bed,
) -> Result<(), Trouble> {
    let leader = bed.deployment().leader(LONG).await?;
    let before = bed.deployment().lease().await?;

    let crowd = Crowd::of(bed, "pod", 10).await?;
    crowd.come().await?;
    crowd.attached(2, LONG).await?;
    kill(&leader, "csi-attacher").await?;
    let start = Instant::now();
    crowd.settled(LONG).await?;
    bed.took("attacher killed: 10 pods run after", start);

    kill(&leader, "csi-provisioner").await?;
    let start = Instant::now();
    let volume = provision(bed, "claim").await?;
    bed.took("provisioner killed: a claim is bound after", start);

    kill(&leader, "csi-resizer").await?;
    let start = Instant::now();
    grow(bed, "claim", &volume, 2).await?;
    bed.took("resizer killed: a volume has grown after", start);

    let after = bed.deployment().lease().await?;
    assert_eq!(after, before, "the same process leads in the same term");
    let exits = bed.deployment().exits().unasked();
    assert!(exits.is_empty(), "{exits:?}");
    Ok(())
}

/// Kills a container's process; returns when there is another.
async fn kill(pod: &Pod, container: &str) -> Result<(), Trouble> {
    let container = pod.container(container)?;
    let lives = container.lives();
    container.hit(Blow::Kill)?;
    container.started(lives + 1, LONG).await
}

/// Has a volume made: a provisioner's work.
pub(crate) async fn provision(bed: &Bed, claim: &str) -> Result<Volume, Trouble> {
    bed.workload().claim(claim).await?;
    bed.workload().bound(claim, LONG).await
}

/// Has a volume used by a pod of the claim's name: an attacher's work.
pub(crate) async fn attach(bed: &Bed, claim: &str) -> Result<(), Trouble> {
    let pod = PodWanted {
        name: claim,
        claims: &[claim],
        ..PodWanted::default()
    };
    bed.workload().pod(&pod).await?;
    let node = bed.workload().running(claim, LONG).await?;
    bed.writes(&bed.node(&node)?.machine(), 5, LONG).await
}

/// Has a volume grown: a resizer's work.
pub(crate) async fn grow(bed: &Bed, claim: &str, volume: &Volume, gib: u64) -> Result<(), Trouble> {
    let user = bed.workload();
    user.expand(claim, gib).await?;
    let wanted = Quantity(format!("{gib}Gi"));
    let has_grown = |volume: Option<&PersistentVolume>| {
        let spec = volume.and_then(|volume| volume.spec.as_ref());
        let capacity = spec.and_then(|spec| spec.capacity.as_ref());
        capacity.and_then(|capacity| capacity.get("storage")) == Some(&wanted)
    };
    until(user.all(), &volume.name, "grow", LONG, has_grown)
        .await
        .map(drop)
}
