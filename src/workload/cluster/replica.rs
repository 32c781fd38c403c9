//! One pod of the controller: the driver as a process, its sidecar, and its ways to the API and to
//! the RDS.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Plan;
use crate::workload::attacher::{Attacher, Options as AttacherOptions};
use crate::workload::folder::Folder;
use crate::workload::way::Way;

/// Enough to see what went wrong.
const LOG_LINES: usize = 40;
/// A killed process is gone in milliseconds.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// What can be done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL: it ends here and now.
    Kill,
    /// SIGSTOP: it stands still, and keeps its sockets.
    Freeze,
    /// SIGCONT: it goes on where it stood still.
    Thaw,
    /// SIGTERM: it is asked to end.
    Terminate,
}

/// A pod of the controller. The process ends when this is dropped.
#[derive(Debug)]
pub struct Replica {
    plan: Arc<Plan>,
    pod: String,
    uid: String,
    folder: PathBuf,
    kubeconfig: PathBuf,
    process: Option<Child>,
    lives: u32,
    attacher: Option<Attacher>,
    api: Way,
    rds: Way,
}

// === impl Replica ===

impl Replica {
    pub(super) async fn start(plan: Arc<Plan>, number: usize) -> io::Result<Self> {
        let api = Way::to(plan.api.address()).await?;
        let rds = Way::to(plan.sim.ssh_addr()).await?;
        let mut replica = Self {
            pod: format!("controller-{number}"),
            uid: String::new(),
            folder: PathBuf::new(),
            kubeconfig: PathBuf::new(),
            process: None,
            lives: 0,
            attacher: None,
            plan,
            api,
            rds,
        };
        replica.replace().await?;
        Ok(replica)
    }

    /// The pod's name.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// How the holder of a Lease begins that is a process of this pod.
    pub(super) fn holder_prefix(&self) -> String {
        format!("{}_{}_", self.pod, self.uid)
    }

    /// The driver's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("csi.sock")
    }

    /// The socket for `status`, `explain` and `drain`.
    pub fn control_socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// The sidecar.
    pub fn attacher(&self) -> Option<&Attacher> {
        self.attacher.as_ref()
    }

    /// The pod's way to the Kubernetes API, driver and sidecar alike.
    pub fn api_way(&self) -> &Way {
        &self.api
    }

    /// The pod's way to the RDS.
    pub fn rds_way(&self) -> &Way {
        &self.rds
    }

    /// The pod's name as the driver's bearer token: [`crate::sim::kubernetes::faults`] knows it so.
    pub fn client(&self) -> &str {
        &self.pod
    }

    /// The process id of the driver, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Child::id)
    }

    /// Does something to the driver's process. The sidecar lives on. A frozen process stands still
    /// when this returns.
    ///
    /// # Errors
    /// There is no process.
    pub fn hit(&mut self, blow: Blow) -> io::Result<()> {
        let signal = match blow {
            Blow::Kill => Signal::KILL,
            Blow::Freeze => Signal::STOP,
            Blow::Thaw => Signal::CONT,
            Blow::Terminate => Signal::TERM,
        };
        let id = self
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let id = id.ok_or(io::ErrorKind::NotFound)?;
        kill_process(id, signal)?;
        if blow == Blow::Freeze {
            // The signal has been sent, but threads that are on a processor stop a moment later.
            let states = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(id), states)?;
        }
        Ok(())
    }

    /// How the driver's process ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        // An error means that somebody else has waited for it, which nobody does.
        self.process.as_mut()?.try_wait().ok().flatten()
    }

    /// Waits for the end of the driver's process.
    pub async fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let process = self.process.as_mut()?;
        timeout(limit, process.wait()).await.ok()?.ok()
    }

    /// Starts the driver's process again in the same pod, as kubelet does after a crash. One that
    /// still runs is killed first.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.end_process().await;
        self.lives += 1;
        let log = File::create(self.log_path(self.lives))?;
        let mut command = Command::new(&self.plan.options.program);
        // Every flag can come from the environment; that of whoever started us must not.
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("RDS_CSI_") || name.starts_with("OTEL_") {
                command.env_remove(key);
            }
        }
        let process = command
            .envs(self.plan.options.environment.iter().cloned())
            .args(self.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for us; what it means for this process is our decision.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    /// A new pod of the same name, with a UID, socket and lock of its own, in the place of this one.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn replace(&mut self) -> io::Result<()> {
        self.remove().await;
        self.uid = pod_uid(rand::random());
        let folder: &Folder = &self.plan.folder;
        self.folder = folder.within(&format!("{}-{}", self.pod, self.uid))?;
        let url = format!("http://{}", self.plan.api.address());
        let by_way = format!("http://{}", self.api.address());
        let kubeconfig = self.plan.api.kubeconfig(&self.pod).replace(&url, &by_way);
        let name = format!("{}-{}.kubeconfig", self.pod, self.uid);
        self.kubeconfig = folder.write(&name, &kubeconfig)?;
        self.restart().await?;
        if self.plan.options.sidecars {
            self.start_attacher()?;
        }
        Ok(())
    }

    /// The pod goes, and nothing comes in its place.
    pub async fn remove(&mut self) {
        self.attacher = None;
        self.end_process().await;
        self.remove_lock();
    }

    /// The end of what the present process said, or the one before if it has said nothing yet.
    pub fn log_tail(&self) -> String {
        let logs = (1..=self.lives).rev().map(|life| self.log_path(life));
        let mut texts = logs.filter_map(|log| fs::read_to_string(log).ok());
        let text = texts.find(|text| !text.is_empty()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let start = lines.len().saturating_sub(LOG_LINES);
        let tail: Vec<&str> = lines.iter().skip(start).copied().collect();
        tail.join("\n")
    }

    async fn end_process(&mut self) {
        if let Some(mut process) = self.process.take()
            && timeout(KILL_LIMIT, process.kill()).await.is_err()
        {
            tracing::warn!(pod = %self.pod, "a killed process does not end");
        }
    }

    fn start_attacher(&mut self) -> io::Result<()> {
        let mut api = self.plan.api.config(&format!("attacher-{}", self.pod));
        let url = format!("http://{}", self.api.address());
        api.cluster_url = url.parse().map_err(io::Error::other)?;
        self.attacher = Some(Attacher::start(AttacherOptions {
            pod: self.pod.clone(),
            socket: self.socket(),
            api,
            pace: self.plan.options.pace,
            journal: self.plan.journal.clone(),
        }));
        Ok(())
    }

    fn log_path(&self, life: u32) -> PathBuf {
        self.folder.join(format!("{life}.log"))
    }

    /// It goes with the pod's emptyDir. There may have been none.
    fn remove_lock(&self) {
        if let Some(lock) = self.lock_file() {
            drop(fs::remove_file(lock));
        }
    }

    fn lock_file(&self) -> Option<PathBuf> {
        let folder = self.plan.options.locks.as_deref()?;
        // The plan's own number keeps two clusters on one machine apart.
        let name = format!("rds-csi-{:016x}-{}.lock", self.plan.number, self.uid);
        Some(folder.join(name))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.remove_lock();
    }
}

// === The command line ===

impl Replica {
    fn arguments(&self) -> Vec<String> {
        let plan = &self.plan;
        let rds = self.rds.address();
        let mut arguments = Arguments(vec!["controller".to_owned()]);
        arguments.path("endpoint", "unix://", &self.socket());
        arguments.flag("driver-name", super::DRIVER);
        arguments.flag("cluster-id", super::CLUSTER);
        arguments.flag("rds-address", rds.ip());
        arguments.flag("rds-port", rds.port());
        arguments.flag("rds-user", super::USER);
        arguments.path("rds-password-file", "", &plan.password_file);
        arguments.flag("rds-host-key", plan.sim.fingerprint());
        arguments.flag("revoke-settle", millis(plan.options.revoke_settle));
        if let Some(lease) = &plan.options.lease {
            arguments.path("kubeconfig", "", &self.kubeconfig);
            arguments.flag("leader-election-namespace", super::NAMESPACE);
            arguments.flag("leader-election-lease", super::LEASE);
            arguments.flag("leader-election-lease-duration", millis(lease.duration));
            arguments.flag("leader-election-renew-deadline", millis(lease.deadline));
            arguments.flag("leader-election-retry-period", millis(lease.retry));
            arguments.flag("pod-name", &self.pod);
            arguments.flag("pod-uid", &self.uid);
            arguments.path("control-socket", "", &self.control_socket());
            if let Some(lock) = self.lock_file() {
                arguments.path("lock-file", "", &lock);
            }
        } else {
            arguments.0.push("--standalone".to_owned());
        }
        arguments.0.extend(plan.options.arguments.iter().cloned());
        arguments.0
    }
}

/// A command line.
struct Arguments(Vec<String>);

// === impl Arguments ===

impl Arguments {
    fn flag(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("--{name}={value}"));
    }

    fn path(&mut self, name: &str, scheme: &str, path: &Path) {
        self.flag(name, format_args!("{scheme}{}", path.display()));
    }
}

/// A UID as Kubernetes gives one, which the driver insists on before it takes one process for the
/// successor of another.
fn pod_uid(number: u128) -> String {
    let digits = format!("{number:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    let groups = groups.map(|group| digits.get(group).unwrap_or_default());
    groups.join("-")
}

fn millis(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}
