//! A volume that grows.

use k8s_openapi::api::core::v1::PersistentVolume;
use testbed::bed::Bed;
use testbed::trouble::Trouble;
use testbed::watch::until;
use testbed::workload::LONG;
use tokio::time::Instant;

use crate::app::{App, CLAIM};

/// The size asked for: claims begin with 1 GiB.
const GIB: u64 = 3;

/// A claim that is made larger while a pod uses it gets a larger volume, in Kubernetes and on the RDS,
/// and the node's connection is the same before and after: not one write fails or waits.
pub(crate) async fn a_volume_grows_while_its_node_writes(bed: &Bed) -> Result<(), Trouble> {
    let app = App::start(bed, "app", None).await?;
    let user = bed.workload();
    let world = bed.sim().world();
    let sessions = world.sessions();
    let before = app.machine.view();

    let start = Instant::now();
    user.expand(CLAIM, GIB).await?;
    let capacity = format!("{GIB}Gi");
    let has_grown = |volume: Option<&PersistentVolume>| {
        let spec = volume.and_then(|volume| volume.spec.as_ref());
        let size = spec.and_then(|spec| spec.capacity.as_ref()?.get("storage"));
        size.is_some_and(|size| size.0 == capacity)
    };
    let volumes = user.all::<PersistentVolume>();
    until(volumes, &app.volume.name, "grow", LONG, has_grown).await?;
    bed.took("claim enlarged to volume grown", start);
    let disk = world.disk(&app.volume.handle).expect("it is on the RDS");
    assert_eq!(disk.size, GIB << 30);
    // What is left is the node's: its file system.
    let words = ["FileSystemResizeRequired"];
    let event = user.event("pvc/data", &words, LONG).await?;
    bed.note("kubectl events", event);

    app.goes_on(bed).await?;
    let after = app.machine.view();
    assert_eq!(after.controllers, before.controllers);
    assert_eq!((after.failed, after.queued()), (0, 0));
    let ids = |sessions: &[rds_csi::sim::target::Session]| -> Vec<_> {
        sessions.iter().map(|session| session.id).collect()
    };
    assert_eq!(ids(&world.sessions()), ids(&sessions));
    Ok(())
}
