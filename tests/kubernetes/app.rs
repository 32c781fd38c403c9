//! What most tests begin with, a pod that writes to a volume of its own, and what they ask about it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node as NodeObject;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::PostParams;
use rds_csi::sim::initiator::{Machine, PublishContext};
use serde_json::{Value, json};
use testbed::bed::{Bed, Options};
use testbed::node::Node;
use testbed::trouble::{Attempt, Trouble};
use testbed::watch::until;
use testbed::workload::{LONG, PodWanted, Volume};
use tokio::time::{interval, timeout};

/// The claim of every test that needs only one.
pub(crate) const CLAIM: &str = "data";
/// Writes after which a machine counts as one that writes.
pub(crate) const SOME: u64 = 10;
/// Attempts to reconnect after which a machine counts as one that is kept out.
const KEPT_OUT: u32 = 5;
/// Between two looks at the simulated RDS or its machines, which cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A bed of these nodes for tests of which elections are no part: its Lease outlasts a machine that is
/// busy with much else.
pub(crate) fn steady(nodes: &[&str], mut values: Value) -> Options {
    values["controller"]["leaderElectionProfile"] = "conservative".into();
    Options {
        nodes: nodes.iter().map(ToString::to_string).collect(),
        values,
        ..Options::default()
    }
}

/// The same, with three nodes and the chart's own values.
pub(crate) fn three() -> Options {
    steady(&["a", "b", "c"], json!({}))
}

/// A pod that writes to its volume.
pub(crate) struct App {
    pub(crate) volume: Volume,
    /// Its node.
    pub(crate) node: String,
    pub(crate) machine: Arc<Machine>,
    /// What the node was told when the volume was attached.
    pub(crate) told: PublishContext,
}

// === impl App ===

impl App {
    /// Makes the claim [`CLAIM`] and a pod that uses it; returns when the pod's machine writes.
    pub(crate) async fn start(bed: &Bed, pod: &str, node: Option<&str>) -> Result<Self, Trouble> {
        bed.workload().claim(CLAIM).await?;
        Self::on_claim(bed, pod, node).await
    }

    /// The same, for a claim that exists.
    pub(crate) async fn on_claim(
        bed: &Bed,
        pod: &str,
        node: Option<&str>,
    ) -> Result<Self, Trouble> {
        let claims = &[CLAIM];
        let name = pod;
        let pod = PodWanted { name, claims, node };
        bed.workload().pod(&pod).await?;
        Self::of(bed, name, CLAIM).await
    }

    /// The pod of this name, which uses this claim, once its machine writes.
    pub(crate) async fn of(bed: &Bed, pod: &str, claim: &str) -> Result<Self, Trouble> {
        let user = bed.workload();
        let volume = user.bound(claim, LONG).await?;
        let node = user.running(pod, LONG).await?;
        let told = told(&user.attached(&volume, &node, LONG).await?)?;
        let machine = bed.node(&node)?.machine();
        bed.writes(&machine, SOME, LONG).await?;
        Ok(Self {
            volume,
            node,
            machine,
            told,
        })
    }

    /// Its machine writes now, under what it was told when the volume was attached, and Kubernetes
    /// still says so.
    pub(crate) async fn goes_on(&self, bed: &Bed) -> Result<(), Trouble> {
        bed.writes(&self.machine, SOME, LONG).await?;
        let attachment = bed.workload().attached(&self.volume, &self.node, LONG);
        assert_eq!(told(&attachment.await?)?, self.told);
        Ok(())
    }

    /// Its machine has asked the RDS again and again, and is kept out.
    pub(crate) async fn is_out(&self, bed: &Bed) -> Result<(), Trouble> {
        seen("the machine is kept out", || {
            let view = self.machine.view();
            let refused = |one: &rds_csi::sim::initiator::ControllerView| {
                !one.live && one.attempts >= KEPT_OUT
            };
            view.controllers.iter().any(refused) && view.live_paths() == 0
        })
        .await
        .attempt(|| format!("{:?}", self.machine.view()))?;
        let sessions = bed.sim().world().sessions();
        let own = sessions
            .iter()
            .filter(|one| one.machine.to_string() == self.node);
        assert_eq!(own.count(), 0, "{sessions:?}");
        Ok(())
    }
}

/// What a VolumeAttachment tells its node.
pub(crate) fn told(attachment: &VolumeAttachment) -> Result<PublishContext, Trouble> {
    let status = attachment.status.as_ref();
    let told = status.and_then(|status| status.attachment_metadata.clone());
    told.ok_or_else(|| Trouble::found("the VolumeAttachment does not say how to connect"))
}

/// Makes a VolumeAttachment under the name that Kubernetes gives it. Kubernetes itself makes no second
/// one for a volume that one node may have; people do, and so does a controller-manager that has lost
/// its memory.
pub(crate) async fn attach_by_hand(bed: &Bed, volume: &Volume, node: &str) -> Result<(), Trouble> {
    let user = bed.workload();
    let object = json!({
        "metadata": {"name": user.attachment(volume, node)},
        "spec": {
            "attacher": bed.driver(), "nodeName": node,
            "source": {"persistentVolumeName": volume.name},
        },
    });
    let what = || format!("make a VolumeAttachment for {node}");
    let object = serde_json::from_value(object).attempt(what)?;
    let (attachments, params) = (user.all::<VolumeAttachment>(), PostParams::default());
    let call = attachments.create(&params, &object);
    timeout(LONG, call)
        .await
        .attempt(what)?
        .attempt(what)
        .map(drop)
}

/// Waits until Kubernetes has given up on a node.
pub(crate) async fn given_up(bed: &Bed, node: &Node) -> Result<(), Trouble> {
    let nodes = bed.workload().all::<NodeObject>();
    let down = until(nodes, node.name(), "get not ready", LONG, is_down);
    down.await.map(drop)
}

/// Waits until Kubernetes counts on a node again.
pub(crate) async fn counted_on(bed: &Bed, node: &Node) -> Result<(), Trouble> {
    let is_up = |node: Option<&NodeObject>| node.is_some() && !is_down(node);
    let nodes = bed.workload().all::<NodeObject>();
    let up = until(nodes, node.name(), "come back", LONG, is_up);
    up.await.map(drop)
}

fn is_down(node: Option<&NodeObject>) -> bool {
    let status = node.and_then(|node| node.status.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        let mut ready = conditions.iter().filter(|one| one.type_ == "Ready");
        ready.any(|one| one.status != "True")
    })
}

/// Waits until the attacher has written an error on the VolumeAttachment; gives its words.
pub(crate) async fn attach_error(
    bed: &Bed,
    volume: &Volume,
    node: &str,
) -> Result<String, Trouble> {
    let words = |one: Option<&VolumeAttachment>| -> Option<String> {
        one?.status.as_ref()?.attach_error.as_ref()?.message.clone()
    };
    let user = bed.workload();
    let name = user.attachment(volume, node);
    let is_refused = |one: Option<&VolumeAttachment>| words(one).is_some();
    let refused = until(user.all(), &name, "be refused", LONG, is_refused).await?;
    Ok(words(refused.as_ref()).unwrap_or_default())
}

/// Waits for something that can be seen at the simulated RDS.
pub(crate) async fn seen(what: &str, look: impl Fn() -> bool) -> Result<(), Trouble> {
    let looks = async {
        let mut ticks = interval(LOOK_EVERY);
        while !look() {
            ticks.tick().await;
        }
    };
    let seen = timeout(LONG, looks).await;
    seen.attempt(|| format!("see within {LONG:?} that {what}"))
}
