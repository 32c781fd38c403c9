//! The driver on a cluster with real nodes, installed as the README says: a namespace that enforces the
//! restricted Pod Security Standard, a Secret with key and host key, `helm install` with default values.
//! The RDS is a simulated one in this process.
//!
//! The nodes have no node plugin, and their kernel need not know NVMe: volumes are attached and not
//! staged. A node's machine at the simulator plays the initiator, when a test tells it to.

mod images;
mod replicas;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Namespace, Node, Secret};
use k8s_openapi::api::storage::v1::CSINode;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use rds_csi::sim::handle::{Sim, SimConfig};
use rds_csi::sim::server::Accounts;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

pub use self::images::DriverImage;
pub use self::replicas::Replica;
use crate::bed::install::merge;
use crate::cluster::worker::Worker;
use crate::cluster::{Cluster, Options as ClusterOptions};
use crate::control_plane::Options as PlaneOptions;
use crate::helm::Helm;
use crate::node::boot;
use crate::tools::Tools;
use crate::trouble::{Attempt, Trouble};
use crate::watch::{until, until_all};
use crate::workload::{LONG, Workload};

/// The tools besides those of the cluster.
pub const TOOLS: [&str; 4] = ["csi-attacher", "csi-provisioner", "csi-resizer", "helm"];
/// The release, its namespace, and its Secret.
pub const RELEASE: &str = "rds-csi";
/// The namespace of workloads. It is Kubernetes' own, and restricts nothing.
const WORKLOADS: &str = "default";
/// The StorageClass that the chart makes by default.
const CLASS: &str = "rds-nvme";
/// The driver's name by default.
const DRIVER: &str = "rds.csi.srvlab.io";
/// The user of the controllers on the simulated RDS.
const USER: &str = "csi";
/// An API server answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// What to install, and on what.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes.
    pub nodes: u8,
    /// The control plane.
    pub plane: PlaneOptions,
    /// The driver.
    pub driver: DriverImage,
    /// Values over those of the chart and those that name the RDS.
    pub values: Value,
    /// The simulated RDS; its address and accounts are replaced.
    pub sim: SimConfig,
}

impl Options {
    /// Three nodes, the times of Kubernetes, the chart's own values.
    pub fn of(driver: DriverImage) -> Self {
        Self {
            nodes: 3,
            plane: PlaneOptions::stock(),
            driver,
            values: json!({}),
            sim: SimConfig::default(),
        }
    }
}

/// An installation. Dropping it removes all of it.
pub struct Installed {
    client: Client,
    sim: Sim,
    helm: Helm,
    values: PathBuf,
    workload: Workload,
    timings: Vec<(&'static str, Duration)>,
    /// Last, because all else is on it.
    cluster: Cluster,
}

// === impl Installed ===

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installed")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl Installed {
    /// Starts a cluster and installs the driver on it; returns when a replica leads and the nodes know
    /// the driver. Tools are built first if they are not there, which can take ten minutes.
    ///
    /// # Errors
    /// [`Trouble::unavailable`] says why where this machine cannot have nodes. What there is of it is
    /// gone again, but for the logs.
    pub async fn start(options: Options) -> Result<Self, Trouble> {
        let tools = Tools::find_all(TOOLS.into()).await?;
        let images = images::of(&tools, &options.driver).await?;
        let cluster = Cluster::start(ClusterOptions {
            nodes: options.nodes,
            plane: options.plane.clone(),
            owner: WORKLOADS.to_owned(),
            images: images.written,
            archives: images.ready,
        });
        let cluster = Box::pin(cluster).await?;
        let installed = Self::prepare(cluster, &tools, &options).await?;
        let installing = Box::pin(installed.install());
        let timings = installing.await.inspect_err(|_| installed.cluster.keep())?;
        Ok(Self {
            timings,
            ..installed
        })
    }

    async fn prepare(cluster: Cluster, tools: &Tools, options: &Options) -> Result<Self, Trouble> {
        let client = cluster.plane().admin().await?;
        let what = || "make a key".to_owned();
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).attempt(what)?;
        let public = key.public_key().clone();
        let sim = Sim::start(SimConfig {
            listen: SocketAddr::from((cluster.host(), 0)),
            accounts: Accounts::default().with_key(USER, public),
            ..options.sim.clone()
        });
        let sim = sim.attempt(|| "start the simulated RDS".to_owned())?;
        let secret = json!({
            "metadata": {"name": RELEASE},
            "stringData": {
                "rds-private-key": key.to_openssh(LineEnding::LF).attempt(what)?.to_string(),
                "rds-host-key": sim.host_key(),
            },
        });
        prepare_namespace(&client, secret).await?;
        let mut values = json!({
            "clusterId": "testbed",
            "rds": {
                "address": sim.ssh_addr().ip(), "port": sim.ssh_addr().port(),
                "secret": {"name": RELEASE},
            },
        });
        merge(&mut values, &options.values);
        let folder = cluster.folder();
        let values = folder.write("values.json", &values.to_string())?;
        let home = folder.subfolder("helm")?;
        let helm = Helm::new(&tools.path("helm"), &home);
        let workload = Workload {
            plane: Arc::clone(cluster.plane()),
            client: client.clone(),
            class: CLASS.to_owned(),
            namespace: WORKLOADS.to_owned(),
            driver: DRIVER.to_owned(),
        };
        Ok(Self {
            client,
            sim,
            helm: helm.with(cluster.plane().admin_kubeconfig(), RELEASE),
            values,
            workload,
            timings: Vec::new(),
            cluster,
        })
    }

    async fn install(&self) -> Result<Vec<(&'static str, Duration)>, Trouble> {
        let mut timings = self.cluster.timings().to_vec();
        let start = Instant::now();
        self.nodes_are_ready().await?;
        timings.push(("nodes ready", start.elapsed()));
        let start = Instant::now();
        let chart = chart();
        self.helm
            .run(&[
                "install",
                RELEASE,
                &chart.to_string_lossy(),
                "--values",
                &self.values.to_string_lossy(),
            ])
            .await?;
        timings.push(("helm install", start.elapsed()));
        let start = Instant::now();
        let drivers = self.cluster.workers().iter();
        try_join_all(drivers.map(|worker| self.register(worker.name()))).await?;
        self.available(LONG).await?;
        timings.push(("all replicas ready", start.elapsed()));
        self.leader(LONG).await?;
        timings.push(("and one leads", start.elapsed()));
        Ok(timings)
    }

    /// Waits until every node takes pods.
    ///
    /// # Errors
    /// One does not within two minutes.
    pub async fn nodes_are_ready(&self) -> Result<(), Trouble> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let workers = self.cluster.workers();
        let are_they = |nodes: &[Node]| {
            let ready = nodes.iter().filter(|node| {
                let spec = node.spec.as_ref();
                spec.is_some_and(|spec| spec.taints.as_ref().is_none_or(Vec::is_empty))
            });
            ready.count() == workers.len()
        };
        let all = watcher::Config::default();
        let ready = until_all(nodes, all, "take pods", LONG, are_they).await;
        if ready.is_err() {
            // A kubelet that has ended says why there is no node.
            workers.iter().try_for_each(Worker::check_running)?;
        }
        ready.map(drop)
    }

    /// What a node plugin's registration comes to: an entry in the CSINode that the kubelet has made.
    async fn register(&self, node: &str) -> Result<(), Trouble> {
        boot(&self.sim, node);
        let nodes: Api<CSINode> = Api::all(self.client.clone());
        until(nodes.clone(), node, "exist (CSINode)", LONG, |one| {
            one.is_some()
        })
        .await?;
        let driver = json!({"name": DRIVER, "nodeID": node, "topologyKeys": []});
        let patch = Patch::Merge(json!({"spec": {"drivers": [driver]}}));
        let params = PatchParams::default();
        let call = nodes.patch(node, &params, &patch);
        let what = || format!("register the driver on {node}");
        timeout(CALL_LIMIT, call)
            .await
            .attempt(what)?
            .attempt(what)
            .map(drop)
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A client that may do everything.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The simulated RDS, with the observer that counts writers.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// What users do. Their pods stay without their volumes: nobody stages them.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Helm, for this release.
    pub fn helm(&self) -> &Helm {
        &self.helm
    }

    /// The values file that the chart was installed with.
    pub fn values(&self) -> &Path {
        &self.values
    }

    /// How long the parts of the start took.
    pub fn timings(&self) -> &[(&'static str, Duration)] {
        &self.timings
    }

    /// Objects of the namespace of the release.
    pub fn here<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), RELEASE)
    }
}

/// The folder of the chart.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/rds-csi")
}

async fn prepare_namespace(client: &Client, secret: Value) -> Result<(), Trouble> {
    let what = || format!("make namespace {RELEASE} and its Secret");
    let calls = async {
        let params = PostParams::default();
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = json!({"metadata": {"name": RELEASE, "labels": labels}});
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&params, &parsed(namespace)?).await?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), RELEASE);
        secrets.create(&params, &parsed(secret)?).await.map(drop)
    };
    timeout(CALL_LIMIT, calls)
        .await
        .attempt(what)?
        .attempt(what)
}

fn parsed<T: serde::de::DeserializeOwned>(object: Value) -> kube::Result<T> {
    serde_json::from_value(object).map_err(kube::Error::SerdeError)
}
