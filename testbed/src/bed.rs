//! The bed of one test: an RDS, the chart's controller, nodes and a user, under names of their own on
//! a control plane that all tests of a binary share.

pub(crate) mod install;
mod options;
mod secrets;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use rds_csi::sim::handle::Sim;
use rds_csi::sim::initiator::Machine;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

pub use self::options::Options;

use crate::chart::Chart;
use crate::control_plane::ControlPlane;
use crate::deployment::{Deployment, Plan};
use crate::folder::RunFolder;
use crate::jaeger::Jaeger;
use crate::machines;
use crate::node::{Cluster, Node};
use crate::pod::exits::{Cause, Exits};
use crate::pod::launch::Programs;
use crate::summary::Summary;
use crate::tools::{Tools, say};
use crate::trouble::{Attempt, Trouble};
use crate::workload::{LONG, Workload};

/// The tools of a bed besides those of the control plane.
pub const TOOLS: [&str; 4] = ["csi-attacher", "csi-provisioner", "csi-resizer", "helm"];
/// An API server answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);
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
    jaeger: Option<Jaeger>,
    started: Instant,
    folder: Arc<RunFolder>,
    /// Sockets: their paths must be short, which those of evidence need not be.
    _volumes: TempDir,
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
    pub async fn start(ground: &Ground, name: &str, options: Options) -> Result<Self, Trouble> {
        let short = install::short(name);
        let folder = Arc::new(RunFolder::create(&short)?);
        let made = Self::make(ground, name, short, options, Arc::clone(&folder));
        Box::pin(made).await.inspect_err(|_| folder.keep())
    }

    async fn make(
        ground: &Ground,
        name: &str,
        short: String,
        mut options: Options,
        folder: Arc<RunFolder>,
    ) -> Result<Self, Trouble> {
        let started = Instant::now();
        let jaeger = if options.traced {
            Some(Jaeger::start(&folder.logs()).await?)
        } else {
            None
        };
        if let Some(jaeger) = &jaeger {
            let telemetry = json!({"telemetry": {"otlpEndpoint": jaeger.collector()}});
            install::merge(&mut options.values, &telemetry);
        }
        let volumes = tempfile::tempdir().attempt(|| "make a folder for volumes".to_owned())?;
        let client = ground.plane.admin().await?;
        let (sim, chart) = install::install(ground, &client, &short, &options).await?;
        let cluster = Cluster {
            client: client.clone(),
            sim: sim.clone(),
            driver: install::driver(&short),
            owner: short.clone(),
        };
        let nodes = options.nodes.iter().map(|node| {
            let (cluster, name) = (cluster.clone(), format!("{short}-{node}"));
            async move { Node::join(cluster, &name).await }
        });
        let plan = Plan {
            spec: chart.controller()?,
            replicas: chart.replicas()?,
            name: "c".to_owned(),
            namespace: short.clone(),
            lease: install::lease(&short),
            client: client.clone(),
            plane: Arc::clone(&ground.plane),
            rds: sim.ssh_addr(),
            programs: Programs {
                driver: ground.program.clone(),
                tools: ground.tools.folder().to_owned(),
            },
            environment: options.environment.clone(),
            back_off: options.back_off,
            exits: Exits::default(),
            folder: volumes.path().to_owned(),
            logs: folder.logs(),
        };
        let (deployment, nodes) = tokio::try_join!(Deployment::start(plan), try_join_all(nodes))?;
        let workload = Workload {
            plane: Arc::clone(&ground.plane),
            client: client.clone(),
            class: short.clone(),
            namespace: short,
            driver: cluster.driver,
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
            jaeger,
            started,
            folder,
            _volumes: volumes,
        };
        bed.deployment.leader(LONG).await?;
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

    /// The Jaeger that has the controllers' traces.
    ///
    /// # Errors
    /// There is none: the options do not say `traced`.
    pub fn jaeger(&self) -> Result<&Jaeger, Trouble> {
        let jaeger = self.jaeger.as_ref();
        jaeger.ok_or_else(|| Trouble::found("the bed has no Jaeger"))
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

    /// Adds a row: how long ago something began, which is over now.
    pub fn took(&self, what: impl Into<String>, since: Instant) {
        self.note(what, format_args!("{:.2?}", since.elapsed()));
    }

    /// As [`machines::judge`] does.
    ///
    /// # Errors
    /// The RDS saw what must never be.
    pub fn judge(&self) -> Result<(), Trouble> {
        machines::judge(&self.sim)
    }

    /// As [`machines::writes`] does.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub async fn writes(
        &self,
        machine: &Machine,
        more: u64,
        limit: Duration,
    ) -> Result<(), Trouble> {
        machines::writes(machine, more, limit).await
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
        let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for exit in unasked {
            let after = exit.at.saturating_duration_since(self.started.into_std());
            let row = rows.entry(format!("  {} {}", exit.pod, exit.container));
            row.or_default()
                .push(format!("{} at {after:.1?}", exit.code()));
        }
        for (what, exits) in rows {
            self.note(what, exits.join(", "));
        }
    }

    /// Ends everything, and passes the judgement of the test on: that of [`Bed::judge`], of
    /// [`Deployment::check_lives`] and of [`Bed::check_secrets`] if it has none of its own to complain
    /// about. What the processes said is kept if there is one.
    ///
    /// # Errors
    /// The test's own, or one of these.
    pub async fn finish(self, result: Result<(), Trouble>) -> Result<(), Trouble> {
        let mut result = result
            .and_then(|()| self.judge())
            .and_then(|()| self.deployment.check_lives());
        if result.is_ok() {
            result = self.check_secrets().await;
        }
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
