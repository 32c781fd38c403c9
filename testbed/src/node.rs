//! A node without a machine: its objects and heartbeats, a kubelet's part in attaching, and a
//! simulated machine that writes to its volumes.

mod kubelet;
mod objects;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node as NodeObject;
use k8s_openapi::api::storage::v1::CSINode;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use rds_csi::sim::handle::Sim;
use rds_csi::sim::initiator::{Kernel, Machine, MachineConfig};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use self::kubelet::Kubelet;
use crate::trouble::{Attempt, Trouble};
use crate::watch;

/// The namespace of all heartbeats.
const HEARTBEATS: &str = "kube-node-lease";
/// A tenth of the grace period that the quick control plane gives nodes.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// An API server answers in milliseconds; one that restarts, in seconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The node lifecycle controller takes the taint of a new node away within a second.
const JOIN_LIMIT: Duration = Duration::from_mins(1);
/// Machines keep asking for what they lost, and ask often.
const RECONNECT: Duration = Duration::from_millis(100);
/// By this an administrator vouches that the machine is off.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// Pods of a test go to the nodes of that test: the scheduler sees those of all tests.
pub const OWNER: &str = "testbed/owner";

/// Who a node belongs to.
#[derive(Clone)]
pub struct Cluster {
    /// An administrator's client.
    pub client: Client,
    /// The machines, and the RDS.
    pub sim: Sim,
    /// The CSI driver that has registered on its nodes.
    pub driver: String,
    /// The value of the label [`OWNER`].
    pub owner: String,
}

/// A node. Dropping it stops its heartbeats and its kubelet; its machine belongs to the simulator.
pub struct Node {
    name: String,
    cluster: Cluster,
    tasks: Mutex<JoinSet<()>>,
}

// === impl Cluster ===

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

// === impl Node ===

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Makes a node that pods can be scheduled on, with our driver registered under the node's name.
    ///
    /// # Errors
    /// The API refuses, or the node does not get ready.
    pub async fn join(cluster: Cluster, name: &str) -> Result<Self, Trouble> {
        let node = Self {
            name: name.to_owned(),
            cluster,
            tasks: Mutex::default(),
        };
        node.boot();
        let apply = async {
            let (client, driver) = (&node.cluster.client, &node.cluster.driver);
            objects::create(client, name, &node.cluster.owner, driver).await?;
            beat(client, name).await
        };
        let what = || format!("make node {name}");
        timeout(CALL_LIMIT, apply)
            .await
            .attempt(what)?
            .attempt(what)?;
        node.start();
        // The API server taints every new node; the taint goes with the first look at its condition.
        let nodes: Api<NodeObject> = Api::all(node.cluster.client.clone());
        let is_it = |node: Option<&NodeObject>| {
            let spec = node.and_then(|node| node.spec.as_ref());
            spec.is_some_and(|spec| spec.taints.as_ref().is_none_or(Vec::is_empty))
        };
        watch::until(nodes, name, "lose its first taint", JOIN_LIMIT, is_it).await?;
        Ok(node)
    }

    /// Its name, which is its node id too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its machine, as the simulator has it.
    pub fn machine(&self) -> Arc<Machine> {
        self.cluster.sim.machine(&self.name)
    }

    /// Starts heartbeats and kubelet; those that run are stopped. The kubelet knows nothing of
    /// earlier pods and stages their volumes anew.
    pub fn start(&self) {
        let kubelet = Kubelet::new(self.cluster.clone(), &self.name);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        *tasks = JoinSet::new();
        tasks.spawn(heartbeats(self.cluster.client.clone(), self.name.clone()));
        tasks.spawn(kubelet.run());
    }

    /// The node is cut off from Kubernetes: no heartbeats, and nobody who unmounts. Its machine
    /// writes on: this is the node that must be fenced.
    pub fn cut_off(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        *tasks = JoinSet::new();
    }

    /// The machine loses its power: cut off, nothing written any more, its sessions left at the RDS.
    pub fn power_off(&self) {
        self.cut_off();
        // A machine of the same name without any memory takes its place.
        self.boot();
    }

    /// The taint by which an administrator vouches that the machine is off.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn taint_out_of_service(&self) -> Result<(), Trouble> {
        let taint =
            json!([{"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}]);
        let patch = Patch::Strategic(json!({"spec": {"taints": taint}}));
        let nodes: Api<NodeObject> = Api::all(self.cluster.client.clone());
        let params = PatchParams::default();
        let call = nodes.patch(&self.name, &params, &patch);
        let what = || format!("taint node {}", self.name);
        timeout(CALL_LIMIT, call)
            .await
            .attempt(what)?
            .attempt(what)
            .map(drop)
    }

    /// Its objects go, as when a cloud removes the machine; what the machine does is not touched.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn remove(&self) -> Result<(), Trouble> {
        self.cut_off();
        let client = &self.cluster.client;
        let params = DeleteParams::default();
        let calls = async {
            let nodes: Api<NodeObject> = Api::all(client.clone());
            gone(nodes.delete(&self.name, &params).await.map(drop))?;
            let drivers: Api<CSINode> = Api::all(client.clone());
            gone(drivers.delete(&self.name, &params).await.map(drop))?;
            let leases: Api<Lease> = Api::namespaced(client.clone(), HEARTBEATS);
            gone(leases.delete(&self.name, &params).await.map(drop))
        };
        let what = || format!("remove node {}", self.name);
        timeout(CALL_LIMIT, calls)
            .await
            .attempt(what)?
            .attempt(what)
    }

    fn boot(&self) {
        boot(&self.cluster.sim, &self.name);
    }
}

/// A machine that knows nothing, in place of any that has this name already.
pub(crate) fn boot(sim: &Sim, name: &str) {
    sim.add_machine(MachineConfig {
        reconnect_delay: RECONNECT,
        ..MachineConfig::new(name, Kernel::V6_1)
    });
    sim.run_machine(name);
}

/// What is gone already counts as deleted.
fn gone(deleted: kube::Result<()>) -> kube::Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

async fn heartbeats(client: Client, name: String) {
    let mut beats = interval(BEAT_EVERY);
    loop {
        beats.tick().await;
        // One that is lost is followed by the next.
        drop(timeout(CALL_LIMIT, beat(&client, &name)).await);
    }
}

async fn beat(client: &Client, name: &str) -> kube::Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), HEARTBEATS);
    let lease = objects::lease(name);
    let params = PatchParams::apply("kubelet").force();
    leases.patch(name, &params, &Patch::Apply(lease)).await?;
    // The controller-manager takes the condition away when it misses heartbeats, also because it
    // could not watch them itself; only the kubelet brings it back.
    let nodes: Api<NodeObject> = Api::all(client.clone());
    if objects::is_ready(&nodes.get(name).await?) {
        return Ok(());
    }
    objects::say_ready(&nodes, name).await
}
