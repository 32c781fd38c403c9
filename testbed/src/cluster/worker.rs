//! A node: a first process whose namespaces it lives in, a real containerd, a real kubelet.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{interval, timeout};

use super::Ground;
use super::command::within;
use super::settings::{self, FIRST_PROCESS};
use crate::error::Error;
use crate::folder::RunFolder;
use crate::node::OWNER;
use crate::process::{Child, Program};

/// A few mounts: milliseconds, and more on a machine that is busy.
const FIRST_LIMIT: Duration = Duration::from_secs(30);
/// containerd listens within half a second on two idle cores.
const CONTAINERD_LIMIT: Duration = Duration::from_mins(1);
/// The images of a node are some 400 MB to unpack.
const IMPORT_LIMIT: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(100);

/// A node. Dropping it ends everything that runs there, containers and all.
#[derive(Debug)]
pub struct Worker {
    name: String,
    number: u8,
    ground: Ground,
    /// The process id of the first process, which is 1 inside.
    pid: u32,
    programs: BTreeMap<Service, Program>,
    running: Mutex<BTreeMap<Service, Child>>,
    /// Last: the kernel ends all others with it.
    _first: Child,
}

/// What runs on a node besides containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Service {
    /// Runs the containers, which go on without it.
    Containerd,
    /// Has them run.
    Kubelet,
}

impl Worker {
    /// Makes a node and starts it with these images; returns when its kubelet runs.
    pub(super) async fn start(
        ground: &Ground,
        number: u8,
        kubelet: &Kubelet<'_>,
        images: &[PathBuf],
    ) -> Result<Self, Error> {
        let name = format!("node-{number}");
        let folder = kubelet.folder.subfolder(&name)?;
        let data = ground.data.join(&name);
        fs::create_dir_all(&data).map_err(Error::file("make", &data))?;
        kubelet.write(ground, number, &name)?;
        let procs = ground.machine.cgroups.make(ground.id, &name)?;
        let logs = kubelet.folder.logs();
        let first = Program::new(format!("{name}-first"), "/usr/bin/env", &logs)
            .args("unshare --mount --net --pid --ipc --fork --kill-child".split(' '))
            .args("--mount-proc --propagation=private sh -c".split(' '))
            .args([FIRST_PROCESS, "sh"])
            .args([&procs, &folder, &data, &ground.tools])
            .args([&ground.machine.cni, &ground.machine.runc])
            .start()?;
        first.first_line(FIRST_LIMIT).await?;
        let pid = child_of(first.pid())?;
        ground.network.join(number, pid)?;
        let path = "/run/host/tools:/usr/sbin:/usr/bin:/sbin:/bin";
        let inside = |tool: &str, arguments: Vec<String>| {
            Program::new(format!("{name}-{tool}"), "/usr/bin/env", &logs)
                .args(["nsenter", "-m", "-n", "-p", "-i", "-t"])
                .args([pid.to_string(), format!("/run/host/tools/{tool}")])
                .args(arguments)
                .env("PATH", path)
        };
        let containerd = vec!["--config=/run/host/node/containerd.toml".to_owned()];
        let address = ground.network.node(number);
        let flags = vec![
            "--config=/run/host/node/kubelet.json".to_owned(),
            "--kubeconfig=/run/host/node/kubeconfig".to_owned(),
            "--root-dir=/run/host/node/kubelet".to_owned(),
            "--cert-dir=/run/kubelet-certificates".to_owned(),
            format!("--hostname-override={name}"),
            format!("--node-ip={address}"),
            format!("--node-labels={OWNER}={}", kubelet.owner),
        ];
        let programs = [
            (Service::Containerd, inside("containerd", containerd)),
            (Service::Kubelet, inside("kubelet", flags)),
        ];
        let worker = Self {
            name,
            number,
            ground: ground.clone(),
            pid,
            programs: programs.into(),
            running: Mutex::default(),
            _first: first,
        };
        worker.begin(Service::Containerd)?;
        worker.serving().await?;
        for image in images {
            worker.import(image).await?;
        }
        worker.begin(Service::Kubelet)?;
        Ok(worker)
    }

    /// Checks that what it sends arrives at another one.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if it does not.
    pub(super) fn check_reaches(&self, other: &Self) -> Result<(), Error> {
        self.ground.network.check_reaches(self.pid, other.number)
    }

    /// Its name, which is its node id too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.ground.network.node(self.number)
    }

    /// Makes an image known to it, from an archive as `docker save` or `buildah push` write it.
    ///
    /// # Errors
    ///
    /// containerd refuses, or takes longer than three minutes.
    pub async fn import(&self, archive: &Path) -> Result<(), Error> {
        let archive = archive.to_string_lossy();
        self.ctr(IMPORT_LIMIT, &["images", "import", &archive])
            .await
            .map(drop)
    }

    /// Gives an image that it has another name besides.
    ///
    /// # Errors
    ///
    /// It has no such image.
    pub async fn tag(&self, image: &str, name: &str) -> Result<(), Error> {
        let arguments = ["images", "tag", "--force", image, name];
        self.ctr(CONTAINERD_LIMIT, &arguments).await.map(drop)
    }

    /// Pulls the plug: node and pods run on, and nobody reaches them nor they anybody.
    ///
    /// # Errors
    ///
    /// The link is gone.
    pub fn cut_off(&self) -> Result<(), Error> {
        self.ground.network.plug(self.number, false)
    }

    /// Puts the plug back in.
    ///
    /// # Errors
    ///
    /// The link is gone.
    pub fn reconnect(&self) -> Result<(), Error> {
        self.ground.network.plug(self.number, true)
    }

    /// Kills its kubelet and its containerd; containers run on.
    pub fn abandon(&self) {
        let mut running = self.running();
        for service in [Service::Kubelet, Service::Containerd] {
            drop(running.remove(&service));
        }
    }

    /// Starts its containerd and its kubelet again.
    ///
    /// # Errors
    ///
    /// One cannot be started, or containerd does not answer within a minute.
    pub async fn tend(&self) -> Result<(), Error> {
        self.begin(Service::Containerd)?;
        // A kubelet without one ends.
        self.serving().await?;
        self.begin(Service::Kubelet)
    }

    /// Whether containerd and the kubelet run, but for those that were killed here.
    ///
    /// # Errors
    ///
    /// One has ended by itself; says how, with the end of its log.
    pub fn check_running(&self) -> Result<(), Error> {
        self.running().values().try_for_each(Child::check_running)
    }

    /// The processes of a container, by its id in the pod's status (without `containerd://`). In the
    /// machine's own numbers: they can be signalled from outside.
    pub fn processes(&self, container: &str) -> Vec<u32> {
        let cgroups = &self.ground.machine.cgroups;
        cgroups.of_container(self.ground.id, container)
    }

    fn begin(&self, service: Service) -> Result<(), Error> {
        if let Some(program) = self.programs.get(&service) {
            self.running().insert(service, program.start()?);
        }
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Service, Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until containerd answers.
    async fn serving(&self) -> Result<(), Error> {
        let mut last = String::new();
        let asking = async {
            let mut tick = interval(POLL);
            loop {
                tick.tick().await;
                match self.ctr(CONTAINERD_LIMIT, &["version"]).await {
                    Ok(_) => return Ok(()),
                    Err(error) => last = error.to_string(),
                }
                self.check_running()?;
            }
        };
        let asked = timeout(CONTAINERD_LIMIT, asking).await;
        asked.unwrap_or_else(|_| {
            Err(Error::Late {
                what: format!("the start of containerd on {}", self.name),
                limit: CONTAINERD_LIMIT,
                last,
            })
        })
    }

    async fn ctr(&self, limit: Duration, arguments: &[&str]) -> Result<String, Error> {
        // Inside the node's view of the files; the archive is outside, where ctr itself is.
        let socket = format!("/proc/{}/root/run/containerd/containerd.sock", self.pid);
        let common = ["--address", &socket, "--namespace", "k8s.io"];
        let ctr = self.ground.tools.join("ctr");
        within(limit, ctr.as_os_str(), &[&common, arguments].concat()).await
    }
}

/// What the kubelets of a cluster have in common.
#[derive(Debug)]
pub(super) struct Kubelet<'a> {
    pub(super) folder: &'a RunFolder,
    pub(super) authority: String,
    /// The kubeconfig of each node, by its number.
    pub(super) kubeconfigs: Vec<String>,
    /// The value of the label [`OWNER`].
    pub(super) owner: &'a str,
}

impl Kubelet<'_> {
    fn write(&self, ground: &Ground, number: u8, name: &str) -> Result<(), Error> {
        let address = ground.network.node(number);
        let group = format!("/{}/{name}", ground.id.group());
        let kubelet = settings::kubelet(address, ground.network.host(), &group).to_string();
        let pods = settings::cni(&ground.network.pods(number)).to_string();
        let kubeconfig = self.kubeconfigs.get(usize::from(number) - 1);
        self.folder.subfolder(&format!("{name}/cni"))?;
        let files = [
            ("containerd.toml", settings::containerd()),
            ("kubelet.json", kubelet),
            ("cni/10-pods.conflist", pods),
            ("ca.crt", self.authority.clone()),
            ("kubeconfig", kubeconfig.cloned().unwrap_or_default()),
        ];
        for (file, content) in files {
            self.folder.write(&format!("{name}/{file}"), &content)?;
        }
        Ok(())
    }
}

/// The only child of a process.
fn child_of(pid: u32) -> Result<u32, Error> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let child = children.split_whitespace().next();
    child
        .and_then(|child| child.parse().ok())
        .ok_or_else(|| Error::Process {
            attempt: "find the child of",
            name: format!("process {pid}"),
            source: std::io::Error::other(format!("its children are {children:?}")),
        })
}
