//! Two nodes that want a volume which one may have.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use testbed::bed::{Bed, Options};
use testbed::trouble::Trouble;
use testbed::workload::{LONG, PodWanted};
use tokio::time::Instant;

use crate::app::{App, CLAIM, SOME, attach_by_hand, attach_error, steady};

/// The attacher asks again soon: how long it waits is not ours to test.
pub(crate) fn options() -> Options {
    let values = json!({"sidecars": {"attacher": {"retryIntervalMax": "2s"}}});
    steady(&["a", "b"], values)
}

/// Kubernetes refuses the second node by itself as long as it remembers the first. If it does not, the
/// driver refuses, says on the VolumeAttachment who holds the volume, tells the user both nodes and
/// what to do, and leaves the holder alone. The second node gets the volume when the first has let go.
pub(crate) async fn a_second_node_is_refused_until_the_holder_lets_go(
    bed: &Bed,
) -> Result<(), Trouble> {
    let user = bed.workload();
    let (holder, asking) = (bed.node("a")?.name(), bed.node("b")?.name());
    let first = App::start(bed, "first", Some(holder)).await?;
    let second = PodWanted {
        name: "second",
        claims: &[CLAIM],
        node: Some(asking),
    };
    user.pod(&second).await?;
    let words = ["FailedAttachVolume", "Multi-Attach error"];
    let event = user.event("pod/second", &words, LONG).await?;
    bed.note("kubectl events, the pod", event);

    attach_by_hand(bed, &first.volume, asking).await?;
    let error = attach_error(bed, &first.volume, asking).await?;
    for word in ["code = FailedPrecondition", holder, asking] {
        assert!(error.contains(word), "{word}: {error}");
    }
    bed.note("attachError", error);
    let words = [
        "Warning",
        "AttachmentConflict",
        holder,
        asking,
        "Delete or scale down the pod",
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
    ];
    let event = user.event("pvc/data", &words, LONG).await?;
    bed.note("kubectl events, the claim", event);
    first.goes_on(bed).await?;
    assert!(bed.node("b")?.machine().view().controllers.is_empty());

    let start = Instant::now();
    user.delete::<Pod>("first").await?;
    user.attached(&first.volume, asking, LONG).await?;
    bed.took("holder's pod deleted to attached", start);
    user.running("second", LONG).await?;
    bed.writes(&bed.node("b")?.machine(), SOME, LONG).await?;
    user.detached(&first.volume, holder, LONG).await?;
    Ok(())
}
