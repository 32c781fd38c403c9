//! The leader ends, in any way there is, in the middle of many attaches.

use testbed::bed::Bed;
use testbed::trouble::Trouble;
use testbed::workload::LONG;
use tokio::time::Instant;

use crate::crowd::Crowd;
use crate::failover::{Failover, Fate};

pub(crate) async fn a_leader_killed_in_the_middle_of_50_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Killed, 50).await
}

pub(crate) async fn a_leader_whose_pod_is_gone_in_the_middle_of_50_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Vanished, 50).await
}

pub(crate) async fn a_leader_whose_pod_is_deleted_in_the_middle_of_10_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Deleted, 10).await
}

pub(crate) async fn a_leader_frozen_in_the_middle_of_10_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Frozen, 10).await
}

/// Strikes when a fifth of the volumes is attached. All others get attached, too, and every machine
/// writes to all that it has.
async fn in_the_middle(bed: &Bed, fate: Fate, size: usize) -> Result<(), Trouble> {
    let crowd = Crowd::of(bed, "pod", size).await?;
    let start = Instant::now();
    crowd.come().await?;
    let there = crowd.attached(size / 5, LONG).await?;
    bed.note(
        format!("{fate}: struck when"),
        format_args!("{there} of {size} were attached"),
    );
    assert!(there < size, "it is no longer in the middle");
    let failover = Failover::run(bed, fate, Some(&crowd)).await?;
    crowd.attached(size, LONG).await?;
    bed.took(format!("{size} pods to all attached"), start);
    failover.heal(bed).await?;
    crowd.settled(LONG).await?;
    bed.took(format!("{size} pods to all running and writing"), start);
    Ok(())
}
