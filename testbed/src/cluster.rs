//! A cluster with real nodes on this one machine: each a set of namespaces with its own containerd and
//! kubelet, in which real pods run from real images. It needs root, and nothing installed but Debian's
//! base.
//!
//! What is in it cannot outlive us: the first process of a node is killed with our own, and the kernel
//! then ends all other processes of the node, its mounts and its network. What that leaves (a bridge,
//! control groups, folders) is removed by the next start or by `cargo run -p testbed -- clean`.

mod cgroups;
mod command;
mod dns;
pub mod image;
mod machine;
mod network;
mod record;
mod settings;
pub mod worker;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tempfile::TempDir;
use tokio::time::Instant;

use self::dns::Dns;
use self::image::Image;
use self::machine::Machine;
use self::network::Network;
use self::record::{Id, Lock, Record};
pub use self::settings::PAUSE;
use self::worker::{Kubelet, Worker};
use crate::control_plane::{ControlPlane, Options as PlaneOptions, Reach};
use crate::error::Error;
use crate::folder::RunFolder;
use crate::tools::{Tools, say};

/// The tools of the nodes. The control plane has its own.
pub const TOOLS: [&str; 4] = ["containerd", "containerd-shim-runc-v2", "ctr", "kubelet"];

/// How to start a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes: `node-1`, `node-2` and so on.
    pub nodes: u8,
    /// The control plane. Where it listens is chosen here.
    pub plane: PlaneOptions,
    /// Whose pods the nodes are for, as [`crate::workload::Workload`] selects them: a namespace.
    pub owner: String,
    /// Images to write and to give to every node, besides [`PAUSE`].
    pub images: Vec<Image>,
    /// Archives of ready-made images to give to every node.
    pub archives: Vec<PathBuf>,
}

impl Default for Options {
    /// Three nodes and the times of Kubernetes.
    fn default() -> Self {
        Self {
            nodes: 3,
            plane: PlaneOptions::stock(),
            owner: "default".to_owned(),
            images: Vec::new(),
            archives: Vec::new(),
        }
    }
}

/// A running cluster. Dropping it removes all of it.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they have to go.
    workers: Vec<Worker>,
    _dns: Dns,
    plane: Arc<ControlPlane>,
    remains: Remains,
    host: Ipv4Addr,
    folder: RunFolder,
    timings: Vec<(&'static str, Duration)>,
}

/// What nodes stand on.
#[derive(Clone, Debug)]
struct Ground {
    id: Id,
    machine: Machine,
    network: Network,
    tools: PathBuf,
    /// Where images are kept.
    data: PathBuf,
}

/// Removes what is left of a cluster whose processes are gone.
#[derive(Debug)]
struct Remains {
    record: Record,
    /// What is no evidence.
    data: TempDir,
}

// === impl Cluster ===

impl Cluster {
    /// Starts one; returns when its kubelets run. The tools are built first if they are not there,
    /// which can take ten minutes. What dead owners left is removed.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the reason where this machine cannot have nodes. What there is of
    /// it is gone again.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let start = Instant::now();
        let data = tempfile::Builder::new().prefix("rds-csi-images-").tempdir();
        let data = data.map_err(Error::file("make a folder in", std::env::temp_dir()))?;
        let probe = data.path().join("probe");
        std::fs::create_dir(&probe).map_err(Error::file("make", &probe))?;
        let machine = Machine::examine(&probe)?;
        let tools = Tools::find_all(TOOLS.into()).await?;
        let lock = Lock::take()?;
        record::clean(&lock)?;
        let mut remains = Remains {
            record: Record::make(&lock)?,
            data,
        };
        let folder = RunFolder::create("cluster")?;
        remains.record.own(remains.data.path())?;
        remains.record.own(folder.path())?;
        let ground = Ground {
            id: remains.record.id(),
            network: Network::make(remains.record.id(), options.nodes)?,
            tools: tools.folder().to_owned(),
            data: remains.data.path().to_owned(),
            machine,
        };
        drop(lock);
        let mut timings = vec![("machine and bridge", start.elapsed())];
        let start = Instant::now();
        let service = ground.network.service();
        check_free(service)?;
        let (plane, archives) = tokio::try_join!(
            ControlPlane::start(PlaneOptions {
                reach: Reach::Service(service),
                ..options.plane
            }),
            write(ground.clone(), options.images),
        )?;
        remains.record.own(plane.folder().path())?;
        timings.push(("control plane and images", start.elapsed()));
        let client = plane.admin().await?;
        let mut cluster = Self {
            workers: Vec::new(),
            _dns: Dns::start(ground.network.host(), client).await?,
            plane: Arc::new(plane),
            remains,
            host: ground.network.host(),
            folder,
            timings,
        };
        let start = Instant::now();
        let archives = [archives, options.archives].concat();
        let started = cluster
            .start_workers(&ground, options.nodes, &options.owner, &archives)
            .await;
        cluster.workers = started.inspect_err(|_| cluster.keep())?;
        cluster
            .timings
            .push(("containerds and kubelets", start.elapsed()));
        Ok(cluster)
    }

    async fn start_workers(
        &self,
        ground: &Ground,
        count: u8,
        owner: &str,
        archives: &[PathBuf],
    ) -> Result<Vec<Worker>, Error> {
        let kubeconfig = |number| {
            let user = format!("system:node:node-{number}");
            let access = self.plane.access_of(&user, "system:nodes")?;
            Ok(access.kubeconfig())
        };
        let kubelet = Kubelet {
            folder: &self.folder,
            authority: self.plane.admin_access().authority.clone(),
            kubeconfigs: (1..=count).map(kubeconfig).collect::<Result<_, Error>>()?,
            owner,
        };
        let start = |number| Worker::start(ground, number, &kubelet, archives);
        let workers = try_join_all((1..=count).map(start)).await?;
        if let [one, another, ..] = &workers[..] {
            one.check_reaches(another)?;
        }
        Ok(workers)
    }

    /// What all its names on this machine have in them.
    pub fn id(&self) -> String {
        self.remains.record.id().to_string()
    }

    /// The control plane.
    pub fn plane(&self) -> &Arc<ControlPlane> {
        &self.plane
    }

    /// The nodes.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Where nodes and pods reach this machine.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// What is to be seen when something went wrong.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// How long the parts of the start took.
    pub fn timings(&self) -> &[(&'static str, Duration)] {
        &self.timings
    }

    /// Keeps the folders as evidence, and prints their paths at the end.
    pub fn keep(&self) {
        self.folder.keep();
        self.plane.keep();
    }
}

/// Removes what clusters left whose owners are dead; gives their ids.
///
/// # Errors
///
/// Something cannot be removed.
pub fn clean() -> Result<Vec<String>, Error> {
    record::clean(&Lock::take()?)
}

/// The API server wants the port of the `kubernetes` service for itself.
fn check_free(service: Ipv4Addr) -> Result<(), Error> {
    let bound = TcpListener::bind((service, 443));
    bound.map(drop).map_err(|error| {
        Error::Unavailable(format!(
            "cannot listen on {service}:443: {error}; does a server listen on port 443 of every address?"
        ))
    })
}

/// Writes the images; gives their archives.
async fn write(ground: Ground, images: Vec<Image>) -> Result<Vec<PathBuf>, Error> {
    let pause = Image {
        name: PAUSE.to_owned(),
        program: ground.machine.sleep,
        path: PathBuf::from("/pause"),
        arguments: vec!["infinity".to_owned()],
    };
    let writing = tokio::task::spawn_blocking(move || {
        let all = [pause].into_iter().chain(images).enumerate();
        let write = |(number, image): (usize, Image)| {
            let archive = ground.data.join(format!("image-{number}.tar"));
            image.write(&archive).map(|()| archive)
        };
        all.map(write).collect()
    });
    writing.await.expect("writing images does not panic")
}

// === impl Remains ===

impl Drop for Remains {
    fn drop(&mut self) {
        let removed = Lock::take().and_then(|_lock| self.record.settle());
        if let Err(error) = removed {
            say(&format!("what is left of a cluster stays: {error}"));
        }
    }
}
