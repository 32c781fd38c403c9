//! The leader ends, in the ways that only real nodes have, while one volume is written to and another one
//! is to be attached.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::Signal;
use testbed::cluster::worker::Worker;
use testbed::installed::{Installed, Replica};
use testbed::machines::writes;
use testbed::trouble::{Attempt as _, Trouble};
use testbed::workload::LONG;
use tokio::time::{Instant, interval};

use crate::install::chart_test;
use crate::suite::Ground;
use crate::volume::Claimed;

/// A minute is what the driver asks for, and a little more.
const LED_FOR: Duration = Duration::from_secs(65);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What can happen to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// SIGKILL to its process: the kubelet starts its container again, in the same pod.
    Killed,
    /// `kubectl delete pod`: its preStop hook drains it.
    Deleted,
    /// The plug of its node is pulled until another one leads. Its process runs on.
    WithoutNetwork,
    /// SIGSTOP to its process, and SIGCONT when another one leads.
    Frozen,
}

/// The pod of a leader that has led for a minute gets the Lease back without waiting.
pub(crate) async fn a_leader_whose_process_is_killed_leads_on_in_the_same_pod(
    ground: &Ground,
) -> Result<(), Trouble> {
    let mut ticks = interval(LOOK_EVERY);
    while ground.installed.led_for().await? < LED_FOR {
        ticks.tick().await;
    }
    let (old, new) = survives(ground, Fate::Killed).await?;
    assert_eq!(old.uid, new.uid);
    Ok(())
}

pub(crate) async fn a_leader_whose_pod_is_deleted_hands_over(
    ground: &Ground,
) -> Result<(), Trouble> {
    survives(ground, Fate::Deleted).await.map(drop)
}

pub(crate) async fn a_leader_on_a_node_without_a_network_is_replaced(
    ground: &Ground,
) -> Result<(), Trouble> {
    survives(ground, Fate::WithoutNetwork).await.map(drop)
}

pub(crate) async fn a_leader_that_is_frozen_is_replaced_and_does_no_harm_when_it_wakes(
    ground: &Ground,
) -> Result<(), Trouble> {
    survives(ground, Fate::Frozen).await.map(drop)
}

/// As when a node's containerd is upgraded: containers run on without either, and what is in them is
/// found again as it was.
pub(crate) async fn a_leader_leads_on_while_its_node_has_neither_kubelet_nor_containerd(
    ground: &Ground,
) -> Result<(), Trouble> {
    let installed = &ground.installed;
    let leader = installed.leader(LONG).await?;
    let before = installed.lease().await?;
    let node = worker(installed, &leader.node);
    let elsewhere = nodes_but(installed, &leader.node).remove(0);
    node.abandon();
    let claimed = Claimed::new(ground, "unattended").await?;
    claimed.pod(&elsewhere).await?;
    claimed.attached(&elsewhere).await?;
    let start = Instant::now();
    node.tend().await?;
    chart_test(ground, node.name()).await?;
    ground.took("kubelet and containerd back: a pod has run after", start);
    claimed.leave(&elsewhere).await?;
    claimed.delete().await?;
    // A process that is started again is another holder.
    assert_eq!(installed.lease().await?.holder, before.holder);
    let after = installed.leader(LONG).await?;
    assert_eq!(after.sidecar_exits(), leader.sidecar_exits());
    Ok(())
}

/// Does it to whoever leads. A volume that is attached is written to all the time; a pod that comes at that
/// moment gets its volume attached; then the first volume moves to another node; and no sidecar of another
/// replica ends. Gives the leader of before and that of after.
async fn survives(ground: &Ground, fate: Fate) -> Result<(Replica, Replica), Trouble> {
    let installed = &ground.installed;
    let old = installed.leader(LONG).await?;
    let before = installed.lease().await?;
    let exits = sidecar_exits(installed, &old).await?;
    let [here, there] = &nodes_but(installed, &old.node)[..] else {
        panic!("there are three nodes");
    };
    let (written, coming) = tokio::try_join!(
        Claimed::new(ground, "written"),
        Claimed::new(ground, "coming"),
    )?;
    written.pod(here).await?;
    written.stage(here).await?;
    let start = Instant::now();
    strike(installed, fate, &old).await?;
    let ready = async {
        let new = installed.taken_over(&before, LONG).await?;
        let took = start.elapsed();
        let same = new.uid == old.uid;
        let by = if same { "the same pod" } else { "another pod" };
        ground.note(format!("{fate}: ready after"), format!("{took:.2?}, {by}"));
        Ok(new)
    };
    let attached = async {
        coming.pod(there).await?;
        coming.attached(there).await?;
        ground.took(format!("{fate}: first attach after"), start);
        Ok::<(), Trouble>(())
    };
    let (new, ()) = tokio::try_join!(ready, attached)?;
    coming.stage(there).await?;
    heal(installed, fate, &old)?;
    installed.nodes_are_ready().await?;
    installed.available(LONG).await?;
    ground.took(format!("{fate}: all replicas ready after"), start);
    writes(&installed.sim().machine(here), 5, LONG).await?;
    written.leave(here).await?;
    written.pod(there).await?;
    written.stage(there).await?;
    for (sidecar, count) in sidecar_exits(installed, &old).await? {
        let before = exits.get(&sidecar).copied().unwrap_or(0);
        assert_eq!(count, before, "{sidecar} ended by itself");
    }
    written.leave(there).await?;
    coming.leave(there).await?;
    tokio::try_join!(written.delete(), coming.delete())?;
    Ok((old, new))
}

async fn strike(installed: &Installed, fate: Fate, leader: &Replica) -> Result<(), Trouble> {
    match fate {
        Fate::Killed => installed.signal(leader, Signal::KILL),
        Fate::Frozen => installed.signal(leader, Signal::STOP),
        Fate::WithoutNetwork => Ok(worker(installed, &leader.node).cut_off()?),
        Fate::Deleted => {
            let (pods, params) = (installed.here::<Pod>(), DeleteParams::default());
            let deleted = pods.delete(&leader.name, &params).await;
            deleted.map(drop).attempt(|| "delete the leader".to_owned())
        }
    }
}

fn heal(installed: &Installed, fate: Fate, leader: &Replica) -> Result<(), Trouble> {
    match fate {
        Fate::Killed | Fate::Deleted => Ok(()),
        Fate::Frozen => installed.signal(leader, Signal::CONT),
        Fate::WithoutNetwork => Ok(worker(installed, &leader.node).reconnect()?),
    }
}

fn worker<'a>(installed: &'a Installed, name: &str) -> &'a Worker {
    let mut workers = installed.cluster().workers().iter();
    workers.find(|worker| worker.name() == name).unwrap()
}

fn nodes_but(installed: &Installed, node: &str) -> Vec<String> {
    let names = installed.cluster().workers().iter().map(Worker::name);
    let others = names.filter(|name| *name != node);
    others.map(ToOwned::to_owned).collect()
}

/// How often sidecars of the replicas but this one have ended without their driver.
async fn sidecar_exits(
    installed: &Installed,
    but: &Replica,
) -> Result<BTreeMap<String, i32>, Trouble> {
    let mut exits = BTreeMap::new();
    for replica in installed.replicas().await? {
        if replica.uid != but.uid {
            let of_pod = replica.sidecar_exits().into_iter();
            exits.extend(of_pod.map(|(name, count)| (format!("{}/{name}", replica.name), count)));
        }
    }
    Ok(exits)
}

// === impl Fate ===

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Deleted => "pod deleted",
            Self::WithoutNetwork => "node cut off",
            Self::Frozen => "frozen",
        })
    }
}
