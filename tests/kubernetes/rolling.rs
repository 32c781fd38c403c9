//! All replicas are replaced, one by one, while pods come and go.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::ListParams;
use testbed::bed::Bed;
use testbed::trouble::{Attempt, Trouble};
use testbed::workload::{LONG, PodWanted, Volume};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::sidecar::provision;

/// How many users have a pod each that comes and goes.
const USERS: usize = 6;
/// How the names of their claims and pods begin.
const USER: &str = "user-";
/// The second time there are replicas to replace that have come in the first.
const ROUNDS: usize = 2;
/// A pod gets its volume within this time, whatever is being replaced. The attach/detach controller
/// takes half a second to see an attach, and asks again after as much, doubled each time.
const BOUND: Duration = Duration::from_secs(20);
/// An API server answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn a_rolling_restart_under_load_keeps_no_pod_waiting(
    bed: &Bed,
) -> Result<(), Trouble> {
    let seen = roll_under_load(bed).await?;
    let unasked = bed.deployment().exits().unasked();
    assert!(unasked.is_empty(), "{unasked:#?}");
    let mut waits = seen.iter().flat_map(|seen| &seen.waits);
    assert!(waits.all(|wait| *wait <= BOUND), "{seen:#?}");
    assert_eq!(attached(bed, &seen).await?, USERS, "the last pods of all");
    let failures = bed.workload().failures(USER).await?;
    bed.note("failed attaches and detaches", failures.len());
    assert!(failures.is_empty(), "{failures:#?}");
    Ok(())
}

/// What a user saw.
#[derive(Debug)]
struct Seen {
    volume: Volume,
    /// How long each pod waited.
    waits: Vec<Duration>,
}

/// Replaces all pods, and then those that came in their place; what the users saw.
async fn roll_under_load(bed: &Bed) -> Result<Vec<Seen>, Trouble> {
    let deployment = bed.deployment();
    let old = deployment.pods();
    let led_before = terms(bed)?;
    let over = watch::Sender::new(false);
    let users = (0..USERS).map(|number| user(bed, format!("{USER}{number}"), over.subscribe()));
    let roll = async {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            deployment.roll(LONG).await?;
            deployment.leader(LONG).await?;
        }
        bed.took("three replicas replaced twice in", start);
        over.send_replace(true);
        Ok(())
    };
    let (seen, ()) = tokio::try_join!(try_join_all(users), roll)?;
    let hand_overs = terms(bed)? - led_before;
    bed.note("hand-overs", hand_overs);
    assert!(hand_overs > 0, "the leader was replaced, too");
    let pods = deployment.pods();
    assert!(
        pods.iter()
            .all(|pod| old.iter().all(|old| old.uid() != pod.uid()))
    );

    let mut waits: Vec<Duration> = seen.iter().flat_map(|seen| seen.waits.clone()).collect();
    waits.sort();
    let (middle, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    bed.note(
        "pod made to running",
        format_args!(
            "{} pods, half of them within {middle:.2?}, all within {longest:.2?}",
            waits.len()
        ),
    );
    Ok(seen)
}

/// How many processes have led.
fn terms(bed: &Bed) -> Result<usize, Trouble> {
    let lives = bed.deployment().lives()?;
    Ok(lives.iter().filter(|life| life.led).count())
}

/// Makes a pod, waits until its machine writes, deletes it, again and again.
async fn user(bed: &Bed, name: String, over: watch::Receiver<bool>) -> Result<Seen, Trouble> {
    let volume = provision(bed, &name).await?;
    let user = bed.workload();
    let mut waits = Vec::new();
    loop {
        // Once more after the end; that pod stays.
        let is_last = *over.borrow();
        let start = Instant::now();
        let pod = PodWanted {
            name: &name,
            claims: &[&name],
            ..PodWanted::default()
        };
        user.pod(&pod).await?;
        let node = user.running(&name, LONG).await?;
        waits.push(start.elapsed());
        bed.writes(&bed.node(&node)?.machine(), 2, LONG).await?;
        if is_last {
            return Ok(Seen { volume, waits });
        }
        user.delete::<Pod>(&name).await?;
        user.gone(user.here::<Pod>(), &name, LONG).await?;
        user.detached(&volume, &node, LONG).await?;
    }
}

/// How many users have their volume attached.
async fn attached(bed: &Bed, seen: &[Seen]) -> Result<usize, Trouble> {
    let (attachments, params) = (bed.workload().all(), ListParams::default());
    let list = timeout(CALL_LIMIT, attachments.list(&params));
    let what = || "list VolumeAttachments".to_owned();
    let list = list.await.attempt(what)?.attempt(what)?;
    let is_attached = |seen: &&Seen| {
        list.iter().any(|attachment: &VolumeAttachment| {
            let volume = attachment.spec.source.persistent_volume_name.as_ref();
            let status = attachment.status.as_ref();
            volume == Some(&seen.volume.name) && status.is_some_and(|status| status.attached)
        })
    };
    Ok(seen.iter().filter(is_attached).count())
}
