//! What an installation is, from `helm install` to `helm uninstall`.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use kube::api::{DeleteParams, LogParams, PostParams};
use kube::runtime::watcher::Config;
use rds_csi::workload::secrets::leaks_below;
use testbed::chart::Chart;
use testbed::installed::RELEASE;
use testbed::trouble::{Attempt as _, Trouble};
use testbed::watch::{until, until_all};
use testbed::workload::LONG;
use tokio::time::Instant;

use crate::suite::Ground;
use crate::volume::Claimed;

pub(crate) async fn three_replicas_run_on_three_nodes_and_one_leads(
    ground: &Ground,
) -> Result<(), Trouble> {
    let installed = &ground.installed;
    let replicas = installed.replicas().await?;
    let nodes: BTreeSet<&str> = replicas.iter().map(|one| one.node.as_str()).collect();
    assert_eq!((replicas.len(), nodes.len()), (3, 3), "{replicas:#?}");
    let mut roles = Vec::new();
    for replica in &replicas {
        roles.push(replica.role().await.unwrap_or_default());
        let exits: i32 = replica.sidecar_exits().iter().map(|(_, count)| count).sum();
        assert_eq!(exits, 0, "{replica:#?}");
    }
    roles.sort();
    assert_eq!(roles, ["leader", "standby", "standby"]);
    let (leader, lease) = (installed.leader(LONG).await?, installed.lease().await?);
    assert_eq!(lease.pod, Some(leader.name));
    for worker in installed.cluster().workers() {
        let logs = installed.cluster().folder().path().join(worker.name());
        let leaks = leaks_below(&logs.join("pods"));
        let leaks = leaks.attempt(|| format!("search the logs in {}", logs.display()))?;
        assert_eq!(leaks, []);
    }
    Ok(())
}

pub(crate) async fn a_claim_gets_a_volume_that_is_attached_where_its_pod_is_and_detached_after_it(
    ground: &Ground,
) -> Result<(), Trouble> {
    let start = Instant::now();
    let claimed = Claimed::new(ground, "data").await?;
    ground.took("claim to volume", start);
    let start = Instant::now();
    claimed.pod("node-2").await?;
    claimed.attached("node-2").await?;
    ground.took("pod to attached", start);
    claimed.stage("node-2").await?;
    let start = Instant::now();
    claimed.leave("node-2").await?;
    ground.took("pod deleted to detached", start);
    assert!(ground.installed.sim().world().sessions().is_empty());
    let start = Instant::now();
    claimed.delete().await?;
    ground.took("claim deleted to volume gone", start);
    Ok(())
}

/// The replica that leads is found from every node: the network of this cluster goes from any pod to
/// any other, as that of any cluster does.
pub(crate) async fn the_test_of_the_chart_succeeds_on_every_node(
    ground: &Ground,
) -> Result<(), Trouble> {
    let workers = ground.installed.cluster().workers().iter();
    let everywhere = workers.map(|worker| chart_test(ground, worker.name()));
    try_join_all(everywhere).await.map(drop)
}

/// What `helm test` runs, on this node.
pub(crate) async fn chart_test(ground: &Ground, node: &str) -> Result<(), Trouble> {
    let what = || format!("run the chart's test on {node}");
    let installed = &ground.installed;
    let hooks = installed.helm().run(&["get", "hooks", RELEASE]).await?;
    let mut test: Pod = Chart::parse(RELEASE, &hooks)?.one()?;
    let name = format!("test-on-{node}");
    test.metadata.name = Some(name.clone());
    test.spec.get_or_insert_default().node_name = Some(node.to_owned());
    let pods = installed.here::<Pod>();
    let made = pods.create(&PostParams::default(), &test).await;
    made.attempt(what)?;
    let ended = until(pods.clone(), &name, "end", LONG, |pod| {
        matches!(phase(pod), Some("Succeeded" | "Failed"))
    });
    if phase(ended.await?.as_ref()) != Some("Succeeded") {
        let said = pods.logs(&name, &LogParams::default()).await;
        return Err(said.attempt(what)?).attempt(what);
    }
    let deleted = pods.delete(&name, &DeleteParams::default()).await;
    deleted.attempt(what).map(drop)
}

fn phase(pod: Option<&Pod>) -> Option<&str> {
    pod?.status.as_ref()?.phase.as_deref()
}

/// As the chart's notes say.
pub(crate) async fn an_uninstalled_driver_leaves_its_volumes_and_its_lease(
    ground: &Ground,
) -> Result<(), Trouble> {
    let installed = &ground.installed;
    let kept = Claimed::new(ground, "kept").await?;
    let manifest = installed.helm().run(&["get", "manifest", RELEASE]).await?;
    let folder = installed.cluster().folder();
    let manifest = folder.write("manifest.yaml", &manifest)?;
    let manifest = manifest.to_string_lossy().into_owned();
    let all_of_it = [
        "get",
        "--ignore-not-found",
        "-o",
        "name",
        "-n",
        RELEASE,
        "-f",
    ];
    let all_of_it = [&all_of_it[..], &[manifest.as_str()]].concat();
    let left = || async {
        let output = installed.cluster().plane().kubectl(&all_of_it).await?;
        String::from_utf8(output.stdout).attempt(|| "read what kubectl says".to_owned())
    };
    let before = left().await?;
    assert!(before.contains("deployment.apps/"), "{before}");
    let start = Instant::now();
    installed.helm().run(&["uninstall", RELEASE]).await?;
    let pods = installed.here::<Pod>();
    until_all(pods, Config::default(), "go", LONG, <[Pod]>::is_empty).await?;
    ground.took("helm uninstall to no pod", start);
    assert_eq!(left().await?, "");
    installed.lease().await?;
    let volumes = installed.workload().all::<PersistentVolume>();
    let volume = volumes.get(&kept.volume.name).await;
    volume.attempt(|| "read the volume that stays".to_owned())?;
    assert!(installed.sim().world().disk(&kept.volume.handle).is_some());
    Ok(())
}
