//! The API server ends and comes back, and everybody has to bear it.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::ResourceExt as _;
use rds_csi::workload::way::Condition;
use testbed::bed::Bed;
use testbed::control_plane::Component;
use testbed::trouble::Trouble;
use testbed::watch::until;
use testbed::workload::{LONG, PodWanted};
use tokio::time::Instant;

use crate::crowd::Crowd;
use crate::sidecar::provision;

/// With pods that write and one attach under way, the API server is killed and started again on its
/// port with its data; then once more, and only started again when the leader has given up. The attach
/// that the RDS did in between is seen to its end, nobody writes to what is another's, and no sidecar
/// ends but beside a leader that did.
pub(crate) async fn an_api_server_that_crashes_costs_nobody_a_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    let (user, deployment) = (bed.workload(), bed.deployment());
    let crowd = Crowd::of(bed, "pod", 6).await?;
    crowd.come().await?;
    crowd.settled(LONG).await?;
    let leader = deployment.leader(LONG).await?;
    let before = deployment.lease().await?;

    let volume = provision(bed, "late").await?;
    let node = bed.node("a")?.name();
    // What the leader sends to the RDS is under way until the API is gone.
    leader.rds_way().set(Condition::Hung);
    let pod = PodWanted {
        name: "late",
        claims: &["late"],
        node: Some(node),
    };
    user.pod(&pod).await?;
    let has_begun =
        |one: Option<&VolumeAttachment>| one.is_some_and(|one| !one.finalizers().is_empty());
    let attachment = user.attachment(&volume, node);
    until(user.all(), &attachment, "be taken up", LONG, has_begun).await?;
    bed.plane().stop(Component::ApiServer).await?;
    let start = Instant::now();
    leader.rds_way().set(Condition::Open);
    bed.plane().resume(Component::ApiServer).await?;
    bed.took("away for a moment: back after", start);

    deployment.leader(LONG).await?;
    bed.took("away for a moment: a leader is ready after", start);
    user.attached(&volume, node, LONG).await?;
    bed.took("away for a moment: attached after", start);
    user.running("late", LONG).await?;
    bed.writes(&bed.node(node)?.machine(), 10, LONG).await?;

    let after = deployment.lease().await?;
    let kept = after.holder == before.holder;
    let leads = if kept { "leads on" } else { "is another one" };
    bed.note("away for a moment: the leader", leads);
    let exits = deployment.exits().unasked();
    assert!(!kept || exits.is_empty(), "{exits:?}");

    // Away for so long that the leader gives up.
    let leader = deployment.leader(LONG).await?;
    let lives = leader.driver()?.lives();
    let start = Instant::now();
    bed.plane().stop(Component::ApiServer).await?;
    leader.driver()?.started(lives + 1, LONG).await?;
    bed.took("away for long: the leader has given up after", start);
    let start = Instant::now();
    bed.plane().resume(Component::ApiServer).await?;
    bed.took("away for long: back after", start);
    deployment.leader(LONG).await?;
    bed.took("away for long: a leader is ready after", start);
    let next = Crowd::of(bed, "next", 3).await?;
    next.come().await?;
    next.settled(LONG).await?;
    bed.took("away for long: three new pods run after", start);
    Ok(())
}
