//! A whole cluster on one machine: a simulated RDS and the Kubernetes API in this process, replicas
//! of the controller as processes of their own, each with its sidecar.

mod replica;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::{Client, ResourceExt as _};
use tokio::time::{sleep, timeout};

pub use self::replica::{Blow, Replica};
use super::attacher::{Journal, Pace};
use super::folder::Folder;
use super::placement::{Placement, PlacementError};
use super::provisioner::Provisioner;
use super::secrets::{self, Leak};
use crate::sim::handle::{Sim, SimConfig, StartError};
use crate::sim::kubernetes::{KubeApi, Options as ApiOptions};
use crate::sim::server::Accounts;

/// The name of the driver: unlike that of any installation, so that nobody mistakes one for the other.
pub const DRIVER: &str = "demo.rds.csi.srvlab.io";
/// The namespace of the replicas.
pub const NAMESPACE: &str = "rds-csi";
/// The name of their Lease.
pub const LEASE: &str = "rds-csi-controller";
/// Whose volumes these are.
const CLUSTER: &str = "demo";
/// Where the leader notes its epoch.
const EPOCH: &str = "rds.csi.srvlab.io/epoch";
/// The user of the controllers on the simulated RDS.
const USER: &str = "csi";
/// Between two looks whether somebody serves.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// It has nothing to wait for: connections are cut, and there is no state file.
const SIM_STOP_LIMIT: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `rds-csi` to run.
    pub program: PathBuf,
    /// How many of it.
    pub replicas: usize,
    /// The times of the election; without them each runs `--standalone`, so there must be one only.
    pub lease: Option<LeaseTimes>,
    /// How long a node must be out before another one is let in.
    pub revoke_settle: Duration,
    /// Whether every replica has a sidecar. Without one, whoever wants calls to be made makes them.
    pub sidecars: bool,
    /// The pace of the sidecars.
    pub pace: Pace,
    /// The mount point of a local filesystem for the lock files of pods, such as `/dev/shm`. Without
    /// one no process takes over from a crashed one of its own pod.
    pub locks: Option<PathBuf>,
    /// More arguments for every controller.
    pub arguments: Vec<String>,
    /// More variables in the environment of every controller.
    pub environment: Vec<(String, String)>,
    /// The nodes. Each is a machine of the simulator and objects of the API.
    pub nodes: Vec<String>,
    /// The simulated RDS; its accounts are replaced.
    pub sim: SimConfig,
}

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a Lease must stand still before it is taken.
    pub duration: Duration,
    /// When a leader stops that could not renew.
    pub deadline: Duration,
    /// Between two renewals.
    pub retry: Duration,
}

/// A running cluster. Dropping it kills the processes.
#[derive(Debug)]
pub struct Cluster {
    replicas: Vec<Replica>,
    placement: Placement,
    plan: Arc<Plan>,
}

/// What all replicas share.
#[derive(Debug)]
struct Plan {
    options: Options,
    number: u64,
    sim: Sim,
    api: KubeApi,
    journal: Journal,
    password_file: PathBuf,
    folder: Folder,
}

/// The Lease as it stands in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseView {
    /// The pod whose process holds it, if it is one of this cluster.
    pub pod: Option<String>,
    /// The holder as written.
    pub holder: String,
    /// The epoch that the holder has announced.
    pub epoch: Option<u64>,
    /// How often it has changed hands.
    pub transitions: i32,
}

/// A cluster cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file, folder, port or process.
    #[error("cannot {what}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The simulated RDS.
    #[error("cannot start the simulated RDS")]
    Sim(#[from] StartError),
    /// A client of the Kubernetes API.
    #[error("cannot make a client of the Kubernetes API")]
    Client(#[from] kube::Error),
    /// The nodes.
    #[error("cannot set up the nodes")]
    Nodes(#[from] PlacementError),
}

impl Default for LeaseTimes {
    /// The controller's default: 10 s, 6 s, 2 s.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(10),
            deadline: Duration::from_secs(6),
            retry: Duration::from_secs(2),
        }
    }
}

// === impl LeaseView ===

impl LeaseView {
    /// What this Lease says, held by one of these pods, each with what its processes' names begin with,
    /// or by somebody else.
    pub fn of(lease: &Lease, pods: &[(&str, String)]) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let mut pods = pods.iter();
        let held = pods.find(|(_, prefix)| holder.starts_with(prefix));
        let epoch = lease.annotations().get(EPOCH);
        Self {
            pod: held.map(|(pod, _)| (*pod).to_owned()),
            epoch: epoch.and_then(|epoch| epoch.trim_start_matches('e').parse().ok()),
            transitions: spec.lease_transitions.unwrap_or_default(),
            holder,
        }
    }
}

// === impl Options ===

impl Options {
    /// Three replicas with the controller's default times, quick sidecars and three nodes.
    pub fn of(program: PathBuf) -> Self {
        Self {
            program,
            replicas: 3,
            lease: Some(LeaseTimes::default()),
            revoke_settle: Duration::from_secs(1),
            sidecars: true,
            pace: Pace::quick(),
            locks: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            nodes: ["node-a", "node-b", "node-c"].map(ToOwned::to_owned).into(),
            sim: SimConfig::default(),
        }
    }

    /// One controller without Kubernetes behind it.
    #[must_use]
    pub fn standalone(self) -> Self {
        Self {
            replicas: 1,
            lease: None,
            ..self
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Secrets in what the processes have logged, and in the events that they have posted.
    fn leaks(&self) -> io::Result<Vec<Leak>> {
        let mut leaks = secrets::leaks_below(&self.folder.path(""))?;
        let events: Vec<Event> = self.api.objects();
        for event in events {
            let text = format!("{event:?}");
            leaks.extend(secrets::leaks_in(Path::new("an event"), &text));
        }
        Ok(leaks)
    }
}

impl Drop for Plan {
    /// Every run of a cluster is a test of this, whatever else it is for.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let leaks = self.leaks().expect("logs can be searched for secrets");
        let told: Vec<_> = leaks.iter().map(Leak::to_string).collect();
        assert!(leaks.is_empty(), "secrets were told:\n{}", told.join("\n"));
    }
}

// === impl Cluster ===

impl Cluster {
    /// Starts everything. Nobody leads yet.
    ///
    /// # Errors
    /// [`ClusterError`]; nothing runs then.
    pub async fn start(mut options: Options) -> Result<Self, ClusterError> {
        let folder = Folder::create().map_err(io_error("make a folder"))?;
        let password = secrets::password();
        let password_file = folder
            .write("password", &password)
            .map_err(io_error("write the password file"))?;
        options.sim.accounts = Accounts::default().with_password(USER, password.into());
        let sim = Sim::start(options.sim.clone())?;
        let api = KubeApi::start(ApiOptions::default()).await;
        let api = api.map_err(io_error("start the Kubernetes API"))?;
        let placement = Placement::new(Client::try_from(api.config("placement"))?, DRIVER);
        for node in &options.nodes {
            placement.add_node(node).await?;
        }
        let plan = Arc::new(Plan {
            options,
            number: rand::random(),
            sim,
            api,
            journal: Journal::default(),
            password_file,
            folder,
        });
        let mut replicas = Vec::new();
        for number in 0..plan.options.replicas {
            let replica = Replica::start(Arc::clone(&plan), number).await;
            replicas.push(replica.map_err(io_error("start a controller"))?);
        }
        Ok(Self {
            replicas,
            placement,
            plan,
        })
    }

    /// The simulated RDS.
    pub fn sim(&self) -> &Sim {
        &self.plan.sim
    }

    /// The Kubernetes API.
    pub fn api(&self) -> &KubeApi {
        &self.plan.api
    }

    /// What the sidecars of all replicas do.
    pub fn journal(&self) -> &Journal {
        &self.plan.journal
    }

    /// Where volumes go.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Makes volumes at whichever replica is ready now. Sockets are those of the present pods.
    pub fn provisioner(&self) -> Provisioner {
        Provisioner::new(self.replicas.iter().map(Replica::socket).collect())
    }

    /// All replicas.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// All replicas, to do something to them.
    pub fn replicas_mut(&mut self) -> &mut [Replica] {
        &mut self.replicas
    }

    /// The replica of this pod.
    pub fn replica_mut(&mut self, pod: &str) -> Option<&mut Replica> {
        self.replicas.iter_mut().find(|one| one.pod() == pod)
    }

    /// The Lease, if there is one.
    pub fn lease(&self) -> Option<LeaseView> {
        let leases: Vec<Lease> = self.plan.api.objects();
        let lease = leases.iter().find(|lease| lease.name_any() == LEASE)?;
        let pods = self.replicas.iter();
        let pods: Vec<_> = pods.map(|one| (one.pod(), one.holder_prefix())).collect();
        Some(LeaseView::of(lease, &pods))
    }

    /// The pod of the replica that serves now: its Probe says ready.
    pub async fn ready(&self) -> Option<String> {
        for replica in &self.replicas {
            let provisioner = Provisioner::new(vec![replica.socket()]);
            if provisioner.ready().await.is_some() {
                return Some(replica.pod().to_owned());
            }
        }
        None
    }

    /// The flags with which `status` and `explain` look at this cluster without a replica.
    pub fn outside(&self, kubeconfig: &Path) -> Vec<String> {
        let (plan, rds) = (&self.plan, self.plan.sim.ssh_addr());
        vec![
            format!("--driver-name={DRIVER}"),
            format!("--cluster-id={CLUSTER}"),
            format!("--rds-address={}", rds.ip()),
            format!("--rds-port={}", rds.port()),
            format!("--rds-user={USER}"),
            format!("--rds-password-file={}", plan.password_file.display()),
            format!("--rds-host-key={}", plan.sim.fingerprint()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--leader-election-namespace={NAMESPACE}"),
            format!("--leader-election-lease={LEASE}"),
        ]
    }

    /// Waits for a replica that serves; returns its pod.
    pub async fn serving(&self, limit: Duration) -> Option<String> {
        let look = async {
            loop {
                if let Some(pod) = self.ready().await {
                    return pod;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(limit, look).await.ok()
    }

    /// Starts the process again in every pod where it has ended, as kubelet does; tells how each
    /// had ended.
    ///
    /// # Errors
    /// One cannot be started.
    pub async fn tend(&mut self) -> io::Result<Vec<(String, ExitStatus)>> {
        let mut ended = Vec::new();
        for replica in &mut self.replicas {
            if let Some(status) = replica.has_ended() {
                ended.push((replica.pod().to_owned(), status));
                replica.restart().await?;
            }
        }
        Ok(ended)
    }

    /// Kills the processes, then ends the API and the RDS. The folder goes with the value.
    pub async fn shutdown(mut self) {
        for replica in &mut self.replicas {
            replica.remove().await;
        }
        self.plan.api.shutdown().await;
        match timeout(SIM_STOP_LIMIT, self.plan.sim.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the simulated RDS ended with an error"),
            Err(_) => tracing::warn!("the simulated RDS does not end"),
        }
    }
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> ClusterError {
    move |source| ClusterError::Io { what, source }
}
