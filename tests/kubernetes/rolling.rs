//! All replicas are replaced, one by one, while pods come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
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
/// A pod gets its volume within this time, whatever is being replaced. The attach/detach controller
/// takes half a second to see an attach, and asks again after as much, doubled each time.
const BOUND: Duration = Duration::from_secs(20);
/// An API server answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn a_rolling_restart_under_load_keeps_no_pod_waiting(
    bed: &Bed,
) -> Result<(), Trouble> {
    let deployment = bed.deployment();
    let before = deployment.lease().await?;
    let old: BTreeSet<String> = deployment
        .pods()
        .iter()
        .map(|pod| pod.uid().to_owned())
        .collect();
    let over = watch::Sender::new(false);
    let users = (0..USERS).map(|number| user(bed, number, over.subscribe()));
    let roll = async {
        let start = Instant::now();
        deployment.roll(LONG).await?;
        deployment.leader(LONG).await?;
        bed.took("three replicas replaced in", start);
        over.send_replace(true);
        Ok(())
    };
    let (waits, ()) = tokio::try_join!(try_join_all(users), roll)?;
    let after = deployment.lease().await?;
    bed.note("hand-overs", after.transitions - before.transitions);
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
    no_error_is_left(bed).await
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
    // Once more after the end, so that nothing is left half done unseen.
    let mut is_last = false;
    while !is_last {
        is_last = *over.borrow();
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
        user.delete::<Pod>(&name).await?;
        user.gone(user.here::<Pod>(), &name, BOUND).await?;
        user.detached(&volume, &node, BOUND).await?;
    }
    Ok(waits)
}

/// No VolumeAttachment of the driver says that it failed.
async fn no_error_is_left(bed: &Bed) -> Result<(), Trouble> {
    let what = || "list VolumeAttachments".to_owned();
    let (api, params) = (
        bed.workload().all::<VolumeAttachment>(),
        ListParams::default(),
    );
    let list = timeout(CALL_LIMIT, api.list(&params))
        .await
        .attempt(what)?
        .attempt(what)?;
    let ours = list
        .items
        .iter()
        .filter(|one| one.spec.attacher == bed.driver());
    let failed = ours.filter(|one| {
        let status = one.status.as_ref();
        status.is_some_and(|status| status.attach_error.is_some() || status.detach_error.is_some())
    });
    let failed: Vec<&VolumeAttachment> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
    Ok(())
}
