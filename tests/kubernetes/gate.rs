//! Probe is the gate of the sidecars: where it is not ready they wait, and where it was they end.

use std::collections::BTreeMap;

use testbed::bed::Bed;
use testbed::pod::exits::Cause;
use testbed::trouble::Trouble;
use tokio::time::Instant;

use crate::failover::{Failover, Fate};
use crate::sidecar::{attach, grow, provision};

/// The sidecars, as the chart calls them.
const SIDECARS: [&str; 3] = ["csi-attacher", "csi-provisioner", "csi-resizer"];

/// Six failovers in a row. After each all three sidecars of the new leader work; no container of a
/// follower ends or is asked for anything in the whole run, and each sidecar of an old leader ends at
/// most once (that is for every test to pass: `Deployment::check_lives`).
pub(crate) async fn sidecars_of_followers_wait_through_failovers_of_every_kind(
    bed: &Bed,
) -> Result<(), Trouble> {
    let fates = [
        Fate::Killed,
        Fate::Deleted,
        Fate::Frozen,
        Fate::Vanished,
        Fate::Deleted,
        Fate::Killed,
    ];
    for (number, fate) in fates.into_iter().enumerate() {
        let before = exits(bed);
        let failover = Failover::run(bed, fate, None).await?;
        let start = Instant::now();
        let claim = format!("claim-{number}");
        let volume = provision(bed, &claim).await?;
        attach(bed, &claim).await?;
        grow(bed, &claim, &volume, 2).await?;
        bed.took(
            format!("{fate}: all three sidecars have worked after another"),
            start,
        );
        failover.heal(bed).await?;
        let old = failover.old().name();
        for ((pod, container), count) in exits(bed) {
            let more = count - before.get(&(pod.clone(), container.clone())).unwrap_or(&0);
            let is_sidecar = SIDECARS.contains(&container.as_str());
            assert!(
                more == 0 || !is_sidecar || (pod == old && more == 1),
                "{fate} {old}: {more} of {container} in {pod}"
            );
        }
    }
    bed.deployment().check_lives()?;
    let lives = bed.deployment().lives()?;
    let led = lives.iter().filter(|life| life.led).count();
    bed.note(
        "processes of the driver",
        format_args!("{}, {led} of which led", lives.len()),
    );
    assert!(led > fates.len(), "each failover has another leader");
    // Otherwise nothing was put to the proof.
    assert!(!exits(bed).is_empty());
    Ok(())
}

/// How often each container has ended by itself, by pod and container.
fn exits(bed: &Bed) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for exit in bed.deployment().exits().all() {
        if exit.cause == Cause::Itself {
            *counts.entry((exit.pod, exit.container)).or_default() += 1;
        }
    }
    counts
}
