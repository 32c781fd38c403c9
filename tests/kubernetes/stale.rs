//! Attachments of nodes that are gone, while the machines behind them write on.

use serde_json::json;
use testbed::bed::{Bed, Options};
use testbed::trouble::Trouble;
use testbed::workload::{LONG, PodWanted};
use tokio::time::Instant;

use crate::app::{App, CLAIM, SOME, attach_by_hand, given_up, seen, steady};

/// The reconcilers leave a grant alone for longer than the test takes.
pub(crate) fn patient() -> Options {
    let values = json!({"sidecars": {"attacher": {"retryIntervalMax": "2s"}}});
    steady(&["a", "b"], values)
}

/// They look every second, and wait three.
pub(crate) fn hasty() -> Options {
    let values = json!({"controller": {
        "attachmentReconcileInterval": "1s", "attachmentGracePeriod": "3s",
    }});
    steady(&["a", "b"], values)
}

/// A Node object is deleted and its VolumeAttachment stays, as it does for six minutes at least: the
/// node that asks next gets the volume at once, after the machine of the deleted one was cut off.
pub(crate) async fn a_deleted_node_gives_way_to_the_node_that_asks(
    bed: &Bed,
) -> Result<(), Trouble> {
    let user = bed.workload();
    let (deleted, asking) = (bed.node("a")?, bed.node("b")?);
    let first = App::start(bed, "first", Some(deleted.name())).await?;
    deleted.remove().await?;
    bed.writes(&first.machine, SOME, LONG).await?;

    let start = Instant::now();
    attach_by_hand(bed, &first.volume, asking.name()).await?;
    let second = PodWanted {
        name: "second",
        claims: &[CLAIM],
        node: Some(asking.name()),
    };
    user.pod(&second).await?;
    user.attached(&first.volume, asking.name(), LONG).await?;
    bed.took("asked to attached", start);
    user.running("second", LONG).await?;
    bed.writes(&asking.machine(), SOME, LONG).await?;
    is_cleared(bed, &first).await?;
    // Deleting it is up to Kubernetes.
    user.attached(&first.volume, deleted.name(), LONG).await?;
    bed.writes(&asking.machine(), SOME, LONG).await?;
    Ok(())
}

/// Nobody asks for the volume: the machine is cut off all the same, when the grace period is over.
pub(crate) async fn a_deleted_node_is_cut_off_after_the_grace_period(
    bed: &Bed,
) -> Result<(), Trouble> {
    let deleted = bed.node("a")?;
    let app = App::start(bed, "app", Some(deleted.name())).await?;
    deleted.remove().await?;
    bed.writes(&app.machine, SOME, LONG).await?;
    let start = Instant::now();
    is_cleared(bed, &app).await?;
    bed.took("Node deleted to cut off", start);
    bed.workload()
        .attached(&app.volume, deleted.name(), LONG)
        .await?;
    Ok(())
}

async fn is_cleared(bed: &Bed, app: &App) -> Result<(), Trouble> {
    app.is_out(bed).await?;
    let words = [
        "StaleAttachmentCleared",
        app.node.as_str(),
        "the Node object is gone",
    ];
    let event = bed.workload().event("pvc/data", &words, LONG).await?;
    bed.note("kubectl events", event);
    Ok(())
}

/// A node is cut off from everything, its machine lives and holds writes that it could not send. An
/// administrator sets the out-of-service taint: the pod moves, the VolumeAttachment goes, and when
/// the machine reaches the RDS again, what it held does not land.
pub(crate) async fn writes_held_by_a_node_out_of_service_never_land(
    bed: &Bed,
) -> Result<(), Trouble> {
    let user = bed.workload();
    user.stateful_set("set", 1).await?;
    let old = App::of(bed, "set-0", "data-set-0").await?;
    let node = bed.node(&old.node)?;
    node.cut_off();
    old.machine.partition(true);
    let done = old.machine.view().done;
    seen("writes wait", || old.machine.view().queued() > 10).await?;
    let start = Instant::now();
    given_up(bed, node).await?;
    bed.took("silent to NotReady", start);

    let start = Instant::now();
    node.taint_out_of_service().await?;
    user.detached(&old.volume, node.name(), LONG).await?;
    bed.took("taint to detached", start);
    let new = App::of(bed, "set-0", "data-set-0").await?;
    bed.took("taint to the new pod writes", start);
    assert_eq!(new.volume, old.volume);
    assert_ne!(new.node, old.node);

    let held = old.machine.view().queued();
    old.machine.partition(false);
    old.is_out(bed).await?;
    new.goes_on(bed).await?;
    let view = old.machine.view();
    assert_eq!(view.done, done);
    assert!(view.queued() >= held, "{view:?}");
    bed.note("writes that never landed", view.queued());
    bed.note("kubectl events", user.events("pvc/data-set-0").await?);
    Ok(())
}
