//! All replicas are replaced, one by one, while pods come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::ListParams;
use testbed::bed::Bed;
use testbed::trouble::{Attempt, Trouble};
use testbed::workload::{LONG, PodWanted};
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
    let deployment = bed.deployment();
    let old: BTreeSet<String> = deployment
        .pods()
        .iter()
        .map(|pod| pod.uid().to_owned())
        .collect();
    let over = watch::Sender::new(false);
    let users = (0..USERS).map(|number| user(bed, number, over.subscribe()));
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
    let (waits, ()) = tokio::try_join!(try_join_all(users), roll)?;
    let lives = deployment.lives()?;
    let led = lives.iter().filter(|life| life.led).count();
    bed.note("hand-overs", led - 1);
    assert!(led > 1, "the leader was replaced, too");
    assert!(deployment.pods().iter().all(|pod| !old.contains(pod.uid())));

    let mut waits: Vec<Duration> = waits.into_iter().flatten().collect();
    waits.sort();
    let (middle, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    bed.note(
        "pod made to running",
        format_args!(
            "{} pods, half of them within {middle:.2?}, all within {longest:.2?}",
            waits.len()
        ),
    );
    no_failure_was_told(bed).await
}

/// Makes a pod, waits until its machine writes, deletes it, again and again; how long each waited.
async fn user(
    bed: &Bed,
    number: usize,
    over: watch::Receiver<bool>,
) -> Result<Vec<Duration>, Trouble> {
    let name = format!("user-{number}");
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
        let node = user.running(&name, BOUND).await?;
        waits.push(start.elapsed());
        bed.writes(&bed.node(&node)?.machine(), 2, BOUND).await?;
        if is_last {
            return Ok(waits);
        }
        user.delete::<Pod>(&name).await?;
        user.gone(user.here::<Pod>(), &name, BOUND).await?;
        user.detached(&volume, &node, BOUND).await?;
    }
}

/// Nobody who looks at a pod or at a VolumeAttachment sees that an attach or a detach has failed.
async fn no_failure_was_told(bed: &Bed) -> Result<(), Trouble> {
    let (user, params) = (bed.workload(), ListParams::default());
    let (attachments, events) = (user.all::<VolumeAttachment>(), user.here::<Event>());
    let lists = async { tokio::try_join!(attachments.list(&params), events.list(&params)) };
    let what = || "list VolumeAttachments and events".to_owned();
    let (attachments, events) = timeout(CALL_LIMIT, lists)
        .await
        .attempt(what)?
        .attempt(what)?;
    let ours = attachments
        .iter()
        .filter(|one| one.spec.attacher == bed.driver());
    let (mut count, mut failed) = (0, Vec::new());
    for (attachment, status) in ours.filter_map(|one| Some((one, one.status.as_ref()?))) {
        count += usize::from(status.attached);
        if status.attach_error.is_some() || status.detach_error.is_some() {
            failed.push(attachment);
        }
    }
    assert_eq!(count, USERS, "the last pod of each user has its volume");
    assert!(failed.is_empty(), "{failed:#?}");
    let failed = events.iter().filter(|event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        reason.starts_with("Failed") && reason.ends_with("Volume")
    });
    let told: Vec<_> = failed
        .filter_map(|event| event.message.as_deref())
        .collect();
    bed.note("events of failed attaches", told.len());
    assert!(told.is_empty(), "{told:#?}");
    Ok(())
}
