//! Probe is the gate of the sidecars: where it is not ready they wait, and where it was they end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use testbed::bed::{Bed, Options};
use testbed::pod::container::BackOff;
use testbed::pod::exits::Cause;
use testbed::trouble::Trouble;
use tokio::time::Instant;

use crate::failover::{Failover, Fate};
use crate::sidecar::{attach, grow, provision};

/// Containers that ended are started again soon: six failovers in a row are many for a kubelet.
pub(crate) fn soon_again() -> Options {
    let second = Duration::from_secs(1);
    Options {
        back_off: BackOff {
            first: second,
            longest: second,
            ..BackOff::default()
        },
        ..Options::default()
    }
}

/// Six failovers in a row. After each all three sidecars of the new leader work. No container of a
/// follower ends or is asked for anything in the whole run, and each sidecar of an old leader ends at
/// most once for each end of its driver, when it next has something to do: that is for every test to
/// pass (`Deployment::check_lives`), and is shown here for all kinds of failovers.
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
    }
    bed.deployment().check_lives()?;
    let lives = bed.deployment().lives()?;
    let led: BTreeSet<&str> = lives
        .iter()
        .filter(|life| life.led)
        .map(|life| life.pod.as_str())
        .collect();
    let leaders = lives.iter().filter(|life| life.led).count();
    bed.note(
        "processes of the driver",
        format_args!("{}, {leaders} of which led", lives.len()),
    );
    assert!(leaders > fates.len(), "each failover has another leader");
    let mut sidecars: BTreeMap<String, usize> = BTreeMap::new();
    for ((pod, container), count) in exits(bed) {
        assert!(led.contains(pod.as_str()), "{container} of {pod} ended");
        *sidecars.entry(container).or_default() += count;
    }
    for (container, count) in &sidecars {
        assert!(*count <= fates.len(), "{count} exits of {container}");
    }
    // Otherwise nothing was put to the proof.
    assert!(sidecars.len() > 1, "{sidecars:?}");
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
