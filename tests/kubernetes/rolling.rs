//! All replicas are replaced, one by one, while pods come and go.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Event, Pod};
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
    no_failure_was_told(bed, &seen).await
}

/// What a user saw.
#[derive(Debug)]
struct Seen {
    /// The name of the claim and of the pods.
    name: String,
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
    let users = (0..USERS).map(|number| user(bed, format!("user-{number}"), over.subscribe()));
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
            return Ok(Seen {
                name,
                volume,
                waits,
            });
        }
        user.delete::<Pod>(&name).await?;
        user.gone(user.here::<Pod>(), &name, LONG).await?;
        user.detached(&volume, &node, LONG).await?;
    }
}

/// Nobody who looks at a pod or at a VolumeAttachment sees that an attach or a detach has failed.
async fn no_failure_was_told(bed: &Bed, seen: &[Seen]) -> Result<(), Trouble> {
    let (user, params) = (bed.workload(), ListParams::default());
    let (attachments, events) = (user.all::<VolumeAttachment>(), user.here::<Event>());
    let lists = async { tokio::try_join!(attachments.list(&params), events.list(&params)) };
    let what = || "list VolumeAttachments and events".to_owned();
    let (attachments, events) = timeout(CALL_LIMIT, lists)
        .await
        .attempt(what)?
        .attempt(what)?;
    let mut attached = 0;
    for attachment in &attachments {
        let volume = attachment.spec.source.persistent_volume_name.as_ref();
        if !seen.iter().any(|seen| volume == Some(&seen.volume.name)) {
            continue;
        }
        let status = attachment.status.clone().unwrap_or_default();
        let error = status.attach_error.or(status.detach_error);
        assert!(error.is_none(), "{attachment:#?}");
        attached += usize::from(status.attached);
    }
    assert_eq!(attached, USERS, "the last pod of each user has its volume");
    let failed = events.iter().filter(|event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        let of = event.involved_object.name.as_ref();
        reason.starts_with("Failed")
            && reason.ends_with("Volume")
            && seen.iter().any(|seen| of == Some(&seen.name))
    });
    let told: Vec<_> = failed
        .filter_map(|event| event.message.as_deref())
        .collect();
    bed.note("events of failed attaches", told.len());
    assert!(told.is_empty(), "{told:#?}");
    Ok(())
}
