//! The leader ends, in any way there is, in the middle of many attaches.

use rds_csi::sim::faults::DeviceFaults;
use testbed::bed::{Bed, Options};
use testbed::trouble::Trouble;
use testbed::workload::LONG;
use tokio::time::Instant;

use crate::crowd::Crowd;
use crate::failover::{Failover, Fate};

/// What a `/disk/set` takes: with three of them, an attach takes a quarter of a second, and those of 10
/// pods over four connections long enough to be struck in the middle.
const SET_TAKES_MS: u64 = 80;

pub(crate) async fn a_leader_killed_in_the_middle_of_50_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Killed, 50).await.map(drop)
}

/// A leader has to have led for a minute before its pod gets the Lease back without waiting.
pub(crate) fn after_a_second() -> Options {
    let short_cut = ("RDS_CSI_UNSAFE_SHORT_CUT_AFTER", "1s");
    Options {
        environment: vec![(short_cut.0.to_owned(), short_cut.1.to_owned())],
        ..Options::default()
    }
}

pub(crate) async fn a_leader_killed_after_its_first_minute_leads_on_in_the_same_pod(
    bed: &Bed,
) -> Result<(), Trouble> {
    let failover = in_the_middle(bed, Fate::Killed, 10).await?;
    assert_eq!(failover.new_leader().uid(), failover.old().uid());
    Ok(())
}

pub(crate) async fn a_leader_whose_pod_is_gone_in_the_middle_of_50_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Vanished, 50).await.map(drop)
}

pub(crate) async fn a_leader_whose_pod_is_deleted_in_the_middle_of_10_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Deleted, 10).await.map(drop)
}

pub(crate) async fn a_leader_frozen_in_the_middle_of_10_attaches_costs_no_pod_its_volume(
    bed: &Bed,
) -> Result<(), Trouble> {
    in_the_middle(bed, Fate::Frozen, 10).await.map(drop)
}

/// Strikes when a fifth of the volumes is attached. All others get attached, too, and every machine
/// writes to all that it has.
async fn in_the_middle(bed: &Bed, fate: Fate, size: usize) -> Result<Failover, Trouble> {
    let crowd = Crowd::of(bed, "pod", size).await?;
    let mut slow = DeviceFaults::default();
    slow.delays_ms.insert("/disk/set".to_owned(), SET_TAKES_MS);
    bed.sim().world().set_faults(slow);
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
    Ok(failover)
}
