//! A StatefulSet whose machine has died.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::runtime::watcher;
use rds_csi::sim::initiator::ConnectError;
use testbed::bed::Bed;
use testbed::trouble::Trouble;
use testbed::watch::until_all;
use testbed::workload::LONG;
use tokio::time::Instant;

use crate::app::{App, counted_on, given_up};

/// The machine of a StatefulSet's pod loses its power, an administrator vouches for that with the
/// out-of-service taint, and the pod goes on elsewhere. When the machine comes back, neither its node
/// nor anything it remembers opens the volume to it.
pub(crate) async fn a_stateful_set_leaves_a_dead_node_that_may_come_back(
    bed: &Bed,
) -> Result<(), Trouble> {
    let user = bed.workload();
    user.stateful_set("set", 1).await?;
    let old = App::of(bed, "set-0", "data-set-0").await?;
    let node = bed.node(&old.node)?;
    node.power_off();
    given_up(bed, node).await?;

    let start = Instant::now();
    node.taint_out_of_service().await?;
    user.detached(&old.volume, node.name(), LONG).await?;
    bed.took("taint to detached", start);
    let volume = old.volume.name.as_str();
    let is_attached = |all: &[VolumeAttachment]| all.iter().any(|one| holds(one, volume));
    let all = watcher::Config::default();
    until_all(user.all(), all, "attach the volume anew", LONG, is_attached).await?;
    bed.took("taint to attached", start);
    let new = App::of(bed, "set-0", "data-set-0").await?;
    bed.took("taint to the new pod writes", start);
    assert_eq!(new.volume, old.volume);

    node.start();
    counted_on(bed, node).await?;
    let refused = node.machine().stage(&old.told);
    assert!(
        matches!(refused, Err(ConnectError::Refused { .. })),
        "{refused:?}"
    );
    new.goes_on(bed).await?;
    assert_eq!(node.machine().view().done, 0);
    let sessions = bed.sim().world().sessions();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    bed.note("kubectl events", user.events("pvc/data-set-0").await?);
    Ok(())
}

/// Whether this is an attachment of the PersistentVolume to some node that may use it.
fn holds(one: &VolumeAttachment, volume: &str) -> bool {
    let is_its = one.spec.source.persistent_volume_name.as_deref() == Some(volume);
    is_its && one.status.as_ref().is_some_and(|status| status.attached)
}
