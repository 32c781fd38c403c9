//! `helm upgrade` and `helm rollback` while pods come and go.

use futures::future::try_join_all;
use testbed::installed::{Installed, RELEASE, chart};
use testbed::trouble::{Attempt as _, Trouble};
use testbed::workload::LONG;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::suite::Ground;
use crate::volume::Claimed;

/// Users with a pod each that comes, writes and goes: one for each node, and one more, so that some node
/// always has two.
const USERS: usize = 4;
/// How the names of their pods begin.
const USER: &str = "user-";
/// The tag that the upgrade brings.
const NEXT: &str = "next";

pub(crate) async fn an_upgrade_and_a_rollback_under_load_fail_no_attach(
    ground: &Ground,
) -> Result<(), Trouble> {
    let installed = &ground.installed;
    let old_image = image_of_all(installed).await?;
    let new_image = tagged(&old_image, NEXT);
    for worker in installed.cluster().workers() {
        worker.tag(&old_image, &new_image).await?;
    }
    let over = watch::Sender::new(false);
    let users = (0..USERS).map(|number| user(ground, number, over.subscribe()));
    let changes = async {
        let start = Instant::now();
        let chart = chart();
        let (chart, values) = (
            chart.to_string_lossy(),
            installed.values().to_string_lossy(),
        );
        let image = format!("image.tag={NEXT}");
        let arguments = ["upgrade", RELEASE, &chart, "--values", &values];
        let changed = ["--set", &image, "--set", "controller.logLevel=debug"];
        installed
            .helm()
            .run(&[&arguments[..], &changed].concat())
            .await?;
        settled(installed, &new_image).await?;
        ground.took("helm upgrade to all replicas new", start);
        let start = Instant::now();
        installed.helm().run(&["rollback", RELEASE]).await?;
        settled(installed, &old_image).await?;
        ground.took("helm rollback to all replicas as before", start);
        over.send_replace(true);
        Ok(())
    };
    let (waits, ()) = tokio::try_join!(try_join_all(users), changes)?;
    let mut waits = waits.concat();
    waits.sort();
    let (middle, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    let told = format!(
        "{} pods, half within {middle:.2?}, all within {longest:.2?}",
        waits.len()
    );
    ground.note("pod to attached meanwhile", told);
    let failures = installed.workload().failures(USER).await?;
    ground.note("failed attaches and detaches", failures.len());
    assert!(failures.is_empty(), "{failures:#?}");
    Ok(())
}

/// The image that the driver has in every replica that stays.
async fn image_of_all(installed: &Installed) -> Result<String, Trouble> {
    let what = || "tell the driver's image".to_owned();
    let mut images: Vec<String> = installed
        .replicas()
        .await?
        .iter()
        .filter(|one| !one.is_leaving())
        .filter_map(|one| one.image().map(ToOwned::to_owned))
        .collect();
    images.dedup();
    match images.pop() {
        Some(image) if images.is_empty() => Ok(image),
        other => Err(format!("replicas have {images:?} and {other:?}")).attempt(what),
    }
}

fn tagged(image: &str, tag: &str) -> String {
    let repository = image
        .rsplit_once(':')
        .map_or(image, |(repository, _)| repository);
    format!("{repository}:{tag}")
}

/// Waits until all replicas run this image and one of them leads; none of their sidecars has ended.
async fn settled(installed: &Installed, image: &str) -> Result<(), Trouble> {
    installed.available(LONG).await?;
    installed.leader(LONG).await?;
    assert_eq!(image_of_all(installed).await?, image);
    for replica in installed.replicas().await? {
        let mut exits = replica.sidecar_exits().into_iter();
        assert!(exits.all(|(_, exits)| exits == 0), "{replica:#?}");
    }
    Ok(())
}

/// Attaches, writes and detaches until the end; gives how long each attach took.
async fn user(
    ground: &Ground,
    number: usize,
    over: watch::Receiver<bool>,
) -> Result<Vec<Duration>, Trouble> {
    let name = format!("{USER}{number}");
    let claimed = Claimed::new(ground, &name).await?;
    let workers = ground.installed.cluster().workers();
    let mut waits = Vec::new();
    while !*over.borrow() {
        let node = workers[(number + waits.len()) % workers.len()].name();
        let start = Instant::now();
        claimed.pod(node).await?;
        claimed.attached(node).await?;
        waits.push(start.elapsed());
        claimed.stage(node).await?;
        claimed.leave(node).await?;
    }
    claimed.delete().await?;
    Ok(waits)
}
