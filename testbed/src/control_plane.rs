//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler on free ports of the loopback,
//! with an authority of their own, in a folder of their own.
//!
//! One of these serves a whole test binary, and each test makes a namespace. Nothing in it belongs to
//! a tokio runtime, so that tests with a runtime each can share it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use rustix::process::Signal;

use crate::error::Error;
use crate::folder::RunFolder;
use crate::kubeconfig::{Access, Credential};
use crate::pki::Authority;
use crate::process::{Child, Exit, Program};
use crate::tools::Tools;

mod component;
mod kubectl;
mod objects;
mod options;
pub(crate) mod ports;
mod programs;
mod readiness;

pub use component::Component;
pub use options::{Options, Reach, Scope};

use programs::Layout;

/// A port that is free may be somebody's a moment later. Two starts that both meet that are rarer
/// than a machine that has no free ports; three are one.
const PORT_ATTEMPTS: u32 = 3;

/// What a program says when somebody else has its port.
const PORT_TAKEN: &str = "address already in use";

/// A SIGKILL takes milliseconds; this is for a machine that has stopped.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A running control plane. Dropping it kills its processes and removes its folder.
#[derive(Debug)]
pub struct ControlPlane {
    /// Before `folder`: what runs writes there until it is dropped.
    running: Mutex<BTreeMap<Component, Child>>,
    programs: BTreeMap<Component, Program>,
    layout: Layout,
    authority: Authority,
    admin: Access,
    admin_kubeconfig: PathBuf,
    tools: Tools,
    options: Options,
    folder: RunFolder,
}

impl ControlPlane {
    /// Starts one, and returns when all of it says that it is ready. The tools are built first if
    /// they are not there, which can take ten minutes.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where this machine cannot build the tools. If something does not get
    /// ready the folder with the logs is kept and its path printed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let tools = Tools::find_all(options.tools()).await?;
        let mut attempt = 1;
        loop {
            let plane = Self::prepare(options.clone(), tools.clone())?;
            match plane.start_all().await {
                Ok(()) => return Ok(plane),
                Err(Error::Ended { log, .. })
                    if log.contains(PORT_TAKEN) && attempt < PORT_ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(error) => {
                    plane.keep();
                    return Err(error);
                }
            }
        }
    }

    /// Everything that can be made before a process runs.
    fn prepare(options: Options, tools: Tools) -> Result<Self, Error> {
        let folder = RunFolder::create("control-plane")?;
        let authority = Authority::new()?;
        let layout = Layout::write(&folder, &authority, options.reach)?;
        let programs = programs::all(&options, &tools, &layout, &folder);
        let admin = layout.access(&authority, "admin", "system:masters")?;
        let admin_kubeconfig = folder.write("admin.kubeconfig", &admin.kubeconfig())?;
        Ok(Self {
            running: Mutex::default(),
            programs,
            layout,
            authority,
            admin,
            admin_kubeconfig,
            tools,
            options,
            folder,
        })
    }

    async fn start_all(&self) -> Result<(), Error> {
        // The API server waits for etcd by itself; the others end if there is no API server.
        self.spawn(Component::Etcd)?;
        self.spawn(Component::ApiServer)?;
        self.ready(Component::ApiServer).await?;
        if self.options.scope == Scope::Full {
            self.spawn(Component::ControllerManager)?;
            self.spawn(Component::Scheduler)?;
            self.ready(Component::ControllerManager).await?;
            self.ready(Component::Scheduler).await?;
        }
        Ok(())
    }

    fn spawn(&self, component: Component) -> Result<(), Error> {
        let program = self.programs.get(&component);
        let child = program.expect("what is started has one").start()?;
        self.running().insert(component, child);
        Ok(())
    }

    /// A client that may do everything. It belongs to the tokio runtime that this is called on.
    pub async fn admin(&self) -> Result<Client, Error> {
        self.admin.client().await
    }

    /// What [`ControlPlane::admin`] shows to the API server.
    pub fn admin_access(&self) -> &Access {
        &self.admin
    }

    /// The kubeconfig file of a user who may do everything.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// A user with a certificate: who may do what is then a matter of RBAC.
    pub fn access_of(&self, user: &str, group: &str) -> Result<Access, Error> {
        self.layout.access(&self.authority, user, group)
    }

    /// A user with a bearer token, such as [`ControlPlane::token`] gives.
    pub fn access_with(&self, token: impl Into<String>) -> Access {
        Access {
            credential: Credential::Token(token.into()),
            ..self.admin.clone()
        }
    }

    /// Writes the kubeconfig file of a user of [`ControlPlane::access_of`] or
    /// [`ControlPlane::access_with`]; `name` is part of the file's name.
    pub fn write_kubeconfig(&self, name: &str, access: &Access) -> Result<PathBuf, Error> {
        let file = format!("{name}.kubeconfig");
        self.folder.write(&file, &access.kubeconfig())
    }

    /// Where the API server listens: `https://ADDRESS:PORT`, the same after a restart.
    pub fn server(&self) -> &str {
        &self.admin.server
    }

    /// One line of JSON for each request of a ServiceAccount, `kube-system`'s aside: who, what, and
    /// how it was answered.
    pub fn audit_log(&self) -> &Path {
        &self.layout.audit_log
    }

    /// The tools it was started with.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Its folder, for what else a test writes.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Keeps the folder as evidence, and prints its path at the end.
    pub fn keep(&self) {
        self.folder.keep();
    }

    /// Kills the API server and starts it again on the same port with the same data. It is killed
    /// because a polite stop waits a minute for watches to end.
    pub async fn restart_apiserver(&self) -> Result<(), Error> {
        self.stop(Component::ApiServer).await?;
        self.resume(Component::ApiServer).await
    }

    /// Kills a component and returns when it is gone.
    pub async fn stop(&self, component: Component) -> Result<Option<Exit>, Error> {
        let Some(child) = self.running().remove(&component) else {
            return Ok(None);
        };
        child.kill()?;
        child.ended(KILL_LIMIT).await.map(Some)
    }

    /// Starts a component that was stopped, and returns when it is ready.
    pub async fn resume(&self, component: Component) -> Result<(), Error> {
        self.spawn(component)?;
        self.ready(component).await
    }

    /// Sends a signal to a component: SIGSTOP makes it hang, SIGCONT go on.
    pub fn signal(&self, component: Component, signal: Signal) -> Result<(), Error> {
        match self.running().get(&component) {
            Some(child) => child.signal(signal),
            None => Ok(()),
        }
    }

    /// The process ids of what runs.
    pub fn pids(&self) -> BTreeMap<Component, u32> {
        let running = self.running();
        running
            .iter()
            .map(|(component, child)| (*component, child.pid()))
            .collect()
    }

    /// Runs kubectl as the user who may do everything.
    ///
    /// # Errors
    ///
    /// If it cannot be run or does not end within a minute. What it says of its task, exit code
    /// included, is in the output.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output, Error> {
        let home = self.folder.subfolder("kubectl")?;
        let kubectl = self.tools.path("kubectl");
        kubectl::run(&kubectl, &self.admin_kubeconfig, &home, arguments).await
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Component, Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
