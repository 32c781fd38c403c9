//! An RDS that was edited by hand while a node uses a volume.

use serde_json::json;
use testbed::bed::{Bed, Options};
use testbed::trouble::Trouble;
use testbed::workload::LONG;
use tokio::time::Instant;

use crate::app::{App, CLAIM, seen, steady};

/// Nobody but the attacher compares: by ListVolumes and its VolumeAttachments, every second.
pub(crate) fn by_attacher() -> Options {
    steady(
        &["a"],
        json!({
            "controller": {"attachmentReconcileInterval": "1h"},
            "sidecars": {"attacher": {"reconcileSync": "1s"}},
        }),
    )
}

/// Nobody but the driver's own reconcilers compare.
pub(crate) fn by_driver() -> Options {
    steady(
        &["a"],
        json!({
            "controller": {"attachmentReconcileInterval": "1s"},
            "sidecars": {"attacher": {"reconcileSync": "1h"}},
        }),
    )
}

/// The stock attacher sees by LIST_VOLUMES_PUBLISHED_NODES that a node lost its volume, and asks for it
/// again; that brings it back under the names that the node goes on using.
pub(crate) async fn the_attacher_brings_back_what_was_edited_away(
    bed: &Bed,
) -> Result<(), Trouble> {
    what_was_edited_away_comes_back(bed).await
}

/// The same without the attacher.
pub(crate) async fn the_reconciler_brings_back_what_was_edited_away(
    bed: &Bed,
) -> Result<(), Trouble> {
    what_was_edited_away_comes_back(bed).await
}

/// No pod is stranded: the machine connects again by itself, and nobody has to stage anything anew.
async fn what_was_edited_away_comes_back(bed: &Bed) -> Result<(), Trouble> {
    let (user, world) = (bed.workload(), bed.sim().world());
    user.claim(CLAIM).await?;
    let slot = user.bound(CLAIM, LONG).await?.handle;
    let free = world.disk(&slot).expect("it was made");
    let app = App::on_claim(bed, "app", None).await?;
    let granted = world.disk(&slot).expect("it is attached");
    assert_ne!(granted.subsystem_nqn, free.subsystem_nqn);

    let off = "nvme-tcp-export=no".to_owned();
    let names = format!(
        "nvme-tcp-server-nqn=\"{}\" nvme-tcp-server-allow-host-name=\"{}\"",
        free.subsystem_nqn, free.allow_host_name
    );
    // A pair that was lost comes back once in its life, so that is the last edit.
    let edits = [
        ("export switched off", off.clone()),
        ("again", off.clone()),
        ("names of nobody, not exported", format!("{off} {names}")),
    ];
    for (round, (edit, change)) in edits.iter().enumerate() {
        let start = Instant::now();
        let line = format!("/disk/set [find where slot=\"{slot}\"] {change}");
        let output = world.exec("somebody", &line).await;
        assert!(
            world.disk(&slot).is_some_and(|disk| !disk.exported),
            "{output:?}"
        );
        let is_back = || world.disk(&slot).as_ref() == Some(&granted);
        seen(&format!("the grant is back after: {edit}"), is_back).await?;
        bed.took(format!("{edit}: back after"), start);
        app.goes_on(bed).await?;
        let times = format!("(x{} over", round + 1);
        let mut words = vec!["GrantRepaired", app.node.as_str()];
        if round > 0 {
            words.push(&times);
        }
        let event = user.event("pvc/data", &words, LONG).await?;
        bed.note("  kubectl events", event);
    }
    Ok(())
}
