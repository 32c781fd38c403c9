//! The bed of one test: an RDS, the chart's controller, nodes and a user, under names of their own on
//! a control plane that all tests of a binary share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod as PodObject, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use rds_csi::sim::handle::{Sim, SimConfig};
use rds_csi::sim::initiator::Machine;
use rds_csi::sim::server::Accounts;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, interval, timeout};

use crate::chart::{Chart, Release};
use crate::control_plane::ControlPlane;
use crate::deployment::{Deployment, Plan};
use crate::folder::RunFolder;
use crate::node::{Cluster, Node};
use crate::pod::container::BackOff;
use crate::pod::exits::{Cause, Exits};
use crate::pod::launch::Programs;
use crate::summary::Summary;
use crate::tools::{Tools, say};
use crate::trouble::{Attempt, Trouble};
use crate::workload::{LONG, Workload};

/// The tools of a bed besides those of the control plane.
pub const TOOLS: [&str; 4] = ["csi-attacher", "csi-provisioner", "csi-resizer", "helm"];
/// The user of the controllers on the simulated RDS.
const USER: &str = "csi";
/// The Secret that the chart refers to.
const SECRET: &str = "rds-login";
/// An API server answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at a machine, which cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Connections are cut, and there is no state file: the simulator has nothing to wait for.
const SIM_LIMIT: Duration = Duration::from_secs(5);

/// What all beds of a test binary stand on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The control plane.
    pub plane: Arc<ControlPlane>,
    /// The sidecars and Helm: [`TOOLS`].
    pub tools: Tools,
    /// The `rds-csi` under test.
    pub program: PathBuf,
    /// What the tests measure and see.
    pub summary: Summary,
}

/// The bed of one test.
#[derive(Clone, Debug)]
pub struct Options {
    /// Replicas of the controller, instead of the chart's own number.
    pub replicas: Option<usize>,
    /// The nodes; the test's name is put in front of each.
    pub nodes: Vec<String>,
    /// Values for the chart, over those that the bed gives.
    pub values: Value,
    /// How soon containers that ended are started again.
    pub back_off: BackOff,
    /// The simulated RDS; its accounts are replaced.
    pub sim: SimConfig,
    /// Whether the Lease is there already, as released by an earlier leader. Without it the first
    /// leader waits for one lease.
    pub released_lease: bool,
}

/// A running bed. [`Bed::finish`] ends it.
pub struct Bed {
    name: String,
    ground: Ground,
    client: Client,
    sim: Sim,
    chart: Chart,
    deployment: Deployment,
    nodes: Vec<Node>,
    workload: Workload,
    started: Instant,
    folder: RunFolder,
    /// Sockets: their paths must be short, which those of evidence need not be.
    _volumes: TempDir,
}

// === impl Options ===

impl Default for Options {
    /// What the chart gives by default, and three nodes.
    fn default() -> Self {
        Self {
            replicas: None,
            nodes: ["a", "b", "c"].map(ToOwned::to_owned).into(),
            values: json!({}),
            back_off: BackOff::default(),
            sim: SimConfig::default(),
            released_lease: true,
        }
    }
}

// === impl Bed ===

impl fmt::Debug for Bed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bed")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Bed {
    /// Makes everything for the test of this name; returns when a replica leads.
    ///
    /// # Errors
    /// Something cannot be made. What there is of it is gone again, but for objects of the API.
    pub async fn start(ground: &Ground, name: &str, mut options: Options) -> Result<Self, Trouble> {
        let started = Instant::now();
        let short = short(name);
        let folder = RunFolder::create(&short)?;
        let volumes = tempfile::tempdir().attempt(|| "make a folder for volumes".to_owned())?;
        let client = ground.plane.admin().await?;
        ground.plane.create_namespace(&client, &short).await?;
        let password = format!("{:032x}", rand::random::<u128>());
        options.sim.accounts = Accounts::default().with_password(USER, password.clone().into());
        let sim =
            Sim::start(options.sim.clone()).attempt(|| "start the simulated RDS".to_owned())?;
        make_secret(&client, &short, &password).await?;
        let chart = render(ground, &short, &sim, &options).await?;
        chart.apply(&client).await?;
        let driver = driver(&short);
        let plan = Plan {
            spec: chart.controller()?,
            replicas: chart.replicas()?,
            name: "c".to_owned(),
            namespace: short.clone(),
            lease: format!("{driver}-controller"),
            client: client.clone(),
            plane: Arc::clone(&ground.plane),
            rds: sim.ssh_addr(),
            programs: Programs {
                driver: ground.program.clone(),
                tools: ground.tools.folder().to_owned(),
            },
            back_off: options.back_off,
            exits: Exits::default(),
            folder: volumes.path().to_owned(),
            logs: folder.logs(),
        };
        if options.released_lease {
            release_lease(&plan).await?;
        }
        let cluster = Cluster {
            client: client.clone(),
            sim: sim.clone(),
            driver: driver.clone(),
            owner: short.clone(),
        };
        let names = options.nodes.iter().map(|node| format!("{short}-{node}"));
        let nodes = names.map(|name| {
            let cluster = cluster.clone();
            async move { Node::join(cluster, &name).await }
        });
        let (deployment, nodes) = tokio::try_join!(Deployment::start(plan), try_join_all(nodes))?;
        let workload = Workload {
            plane: Arc::clone(&ground.plane),
            client: client.clone(),
            class: short.clone(),
            namespace: short,
            driver,
        };
        let bed = Self {
            name: name.to_owned(),
            ground: ground.clone(),
            client,
            sim,
            chart,
            deployment,
            nodes,
            workload,
            started,
            folder,
            _volumes: volumes,
        };
        bed.deployment
            .leader(LONG)
            .await
            .inspect_err(|_| bed.folder.keep())?;
        bed.note("bed ready after", format_args!("{:.1?}", started.elapsed()));
        Ok(bed)
    }

    /// The name of the test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it stands on.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// A client that may do everything.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.ground.plane
    }

    /// The simulated RDS, with the observer that counts writers.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// The chart as rendered.
    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// The controller.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What users do.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// The name of the driver.
    pub fn driver(&self) -> &str {
        &self.workload.driver
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of this whole name, or of this name among the options'.
    ///
    /// # Errors
    /// There is none.
    pub fn node(&self, name: &str) -> Result<&Node, Trouble> {
        let whole = format!("{}-{name}", self.workload.namespace);
        let mut nodes = self.nodes.iter();
        let found = nodes.find(|node| node.name() == name || node.name() == whole);
        found.ok_or_else(|| Trouble::found(format!("there is no node {name}")))
    }

    /// The folder that stays if the test fails.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Adds a row to the table at the end of the run.
    pub fn note(&self, what: impl Into<String>, value: impl fmt::Display) {
        self.ground.summary.add(&self.name, what, value);
    }

    /// Whether the RDS saw what must never be: two machines that write at once, or a write that was
    /// issued before another machine came.
    ///
    /// # Errors
    /// It did.
    pub fn judge(&self) -> Result<(), Trouble> {
        let world = self.sim.world();
        let (second, replayed) = (world.second_writers(), world.replayed_writes());
        let dropped = world.findings_dropped();
        if second.is_empty() && replayed.is_empty() && dropped == 0 {
            return Ok(());
        }
        Err(Trouble::found(format!(
            "second writers: {second:#?}\nreplayed writes: {replayed:#?}\nnot kept: {dropped}"
        )))
    }

    /// Waits until a machine has written so often more, to whatever it has.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub async fn writes(
        &self,
        machine: &Machine,
        more: u64,
        limit: Duration,
    ) -> Result<(), Trouble> {
        let enough = machine.view().done + more;
        let look = async {
            let mut ticks = interval(LOOK_EVERY);
            while machine.view().done < enough {
                ticks.tick().await;
            }
        };
        let written = timeout(limit, look).await;
        written.attempt(|| format!("see {more} writes: {:?}", machine.view()))
    }

    /// The exits of containers for the table: those that nobody asked for one by one.
    fn note_exits(&self) {
        let exits = self.deployment.exits().all();
        let asked = exits.iter().filter(|exit| exit.cause != Cause::Itself);
        let unasked = self.deployment.exits().unasked();
        let value = format!(
            "{} by themselves, {} by the test",
            unasked.len(),
            asked.count()
        );
        self.note("exits of containers", value);
        for exit in unasked {
            let after = exit.at.saturating_duration_since(self.started.into_std());
            let value = format!("{}, {:.1?} after the start", exit.code(), after);
            self.note(format!("  {} {}", exit.pod, exit.container), value);
        }
    }

    /// Ends everything, and passes the judgement of the test on: that of [`Bed::judge`] if it has
    /// none of its own to complain about. What the processes said is kept if there is one.
    ///
    /// # Errors
    /// The test's own, or that of [`Bed::judge`].
    pub async fn finish(self, result: Result<(), Trouble>) -> Result<(), Trouble> {
        let result = result.and_then(|()| self.judge());
        self.note_exits();
        if result.is_err() {
            self.folder.keep();
            self.ground.plane.keep();
        }
        let cleared = self.clear().await;
        self.deployment.stop().await;
        if let Err(error) = cleared {
            say(&format!("{}: {error}", self.name));
        }
        if timeout(SIM_LIMIT, self.sim.shutdown()).await.is_err() {
            say(&format!("{}: the simulated RDS does not end", self.name));
        }
        result
    }

    /// Removes pods and nodes: what is left costs the control plane nothing.
    async fn clear(&self) -> Result<(), Trouble> {
        let pods: Api<PodObject> = Api::namespaced(self.client.clone(), &self.workload.namespace);
        let params = DeleteParams::default().grace_period(0);
        let list = ListParams::default();
        let call = pods.delete_collection(&params, &list);
        let what = || "delete the pods of the test".to_owned();
        timeout(CALL_LIMIT, call)
            .await
            .attempt(what)?
            .attempt(what)?;
        try_join_all(self.nodes.iter().map(Node::remove))
            .await
            .map(drop)
    }
}

/// The driver's name in the bed of a namespace.
fn driver(namespace: &str) -> String {
    format!("{namespace}.rds.test")
}

async fn render(
    ground: &Ground,
    short: &str,
    sim: &Sim,
    options: &Options,
) -> Result<Chart, Trouble> {
    let rds = sim.ssh_addr();
    let secret = json!({"name": SECRET, "privateKey": "", "password": "password", "hostKey": ""});
    let mut values = json!({
        "driver": {"name": driver(short)},
        "clusterId": short,
        "rds": {
            "address": rds.ip(), "port": rds.port(), "user": USER,
            "hostKey": sim.fingerprint(), "secret": secret,
        },
        "storageClasses": [{"name": short}],
    });
    if let Some(replicas) = options.replicas {
        merge(&mut values, &json!({"controller": {"replicas": replicas}}));
    }
    merge(&mut values, &options.values);
    let release = Release {
        name: "rds-csi".to_owned(),
        namespace: short.to_owned(),
        values,
    };
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/rds-csi");
    Chart::render(&ground.tools.path("helm"), &chart, &release).await
}

async fn make_secret(client: &Client, namespace: &str, password: &str) -> Result<(), Trouble> {
    let what = || format!("make Secret {SECRET}");
    let secret = json!({"metadata": {"name": SECRET}, "stringData": {"password": password}});
    let secret: Secret = serde_json::from_value(secret).attempt(what)?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = PostParams::default();
    let call = secrets.create(&params, &secret);
    timeout(CALL_LIMIT, call)
        .await
        .attempt(what)?
        .attempt(what)
        .map(drop)
}

/// The Lease as a leader leaves it that was asked to end.
async fn release_lease(plan: &Plan) -> Result<(), Trouble> {
    let what = || format!("make Lease {}", plan.lease);
    let annotations = json!({"rds.csi.srvlab.io/released-by": "an earlier leader"});
    let lease = json!({
        "metadata": {"name": plan.lease, "annotations": annotations},
        "spec": {"holderIdentity": "", "leaseTransitions": 0},
    });
    let lease: Lease = serde_json::from_value(lease).attempt(what)?;
    let leases: Api<Lease> = Api::namespaced(plan.client.clone(), &plan.namespace);
    let params = PostParams::default();
    let call = leases.create(&params, &lease);
    timeout(CALL_LIMIT, call)
        .await
        .attempt(what)?
        .attempt(what)
        .map(drop)
}

/// Puts values over others, as Helm does with its files.
fn merge(under: &mut Value, over: &Value) {
    match (under.as_object_mut(), over.as_object()) {
        (Some(under), Some(over)) => {
            for (key, value) in over {
                merge(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *under = over.clone(),
    }
}

/// A name that fits everywhere, is the test's own, and can be recognised.
fn short(name: &str) -> String {
    let word = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    let words: String = name
        .rsplit("::")
        .next()
        .unwrap_or(name)
        .chars()
        .map(word)
        .collect();
    let start: String = words.to_lowercase().chars().take(20).collect();
    let start = start.trim_matches('-');
    format!("{start}-{:04x}", rand::random::<u16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_over_those_below() {
        let mut values = json!({"a": {"b": 1, "c": [1]}, "d": 1});
        merge(
            &mut values,
            &json!({"a": {"c": [2], "e": 3}, "f": {"g": 4}}),
        );
        let expected = json!({"a": {"b": 1, "c": [2], "e": 3}, "d": 1, "f": {"g": 4}});
        assert_eq!(values, expected);
    }

    #[test]
    fn names_fit_everywhere() {
        let name = short("lifecycle::A_pod_with_a_claim_gets_its_volume");
        assert!(name.starts_with("a-pod-with-a-claim-g-"), "{name}");
        assert!(driver(&name).len() + "-controller".len() <= 63);
    }
}
