//! The replicas of the controller as real pods: which there are, who of them leads, and what can be done
//! to their processes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::ListParams;
use rds_csi::workload::cluster::LeaseView;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{interval, timeout};

use super::images::DRIVER;
use super::{CALL_LIMIT, Installed};
use crate::pod::probe;
use crate::trouble::{Attempt, Trouble};
use crate::watch::until;

/// The chart's names.
const DEPLOYMENT: &str = "rds-csi-controller";
const LEASE: &str = "rds.csi.srvlab.io-controller";
const SELECTOR: &str = "app.kubernetes.io/component=controller";
/// The port of `/readyz`, by default.
const ADMIN_PORT: u16 = 9809;
/// Between two looks who leads: one list of pods and one small request to each.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A pod of the controller, as it was when it was looked at.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The name of the pod.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its node.
    pub node: String,
    address: Option<IpAddr>,
    image: Option<String>,
    containers: Vec<ContainerStatus>,
    is_leaving: bool,
}

// === impl Replica ===

impl Replica {
    fn of(pod: &Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        let made_of = spec.init_containers.into_iter().flatten();
        let mut made_of = made_of.chain(spec.containers);
        let driver = made_of.find(|container| container.name == DRIVER);
        let containers = [status.init_container_statuses, status.container_statuses];
        Self {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            node: spec.node_name.unwrap_or_default(),
            address: status.pod_ip.and_then(|address| address.parse().ok()),
            image: driver.and_then(|driver| driver.image),
            containers: containers.into_iter().flatten().flatten().collect(),
            is_leaving: pod.metadata.deletion_timestamp.is_some(),
        }
    }

    /// Whether somebody deleted it.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// How the holder of a Lease begins that is a process of this pod.
    pub fn holder_prefix(&self) -> String {
        format!("{}_{}_", self.name, self.uid)
    }

    /// How much more often than the driver beside it each sidecar was started again. A sidecar ends
    /// with its driver's process, once for each time, and for no other reason: more than 0 is wrong.
    pub fn sidecar_exits(&self) -> Vec<(&str, i32)> {
        let of_driver = self.containers.iter().find(|one| one.name == DRIVER);
        let lives = of_driver.map_or(0, |driver| driver.restart_count);
        let sidecars = self.containers.iter().filter(|one| one.name != DRIVER);
        sidecars
            .map(|one| (one.name.as_str(), (one.restart_count - lives).max(0)))
            .collect()
    }

    /// `leader` or `standby`, if it answers that it is ready.
    pub async fn role(&self) -> Option<String> {
        probe::role(SocketAddr::from((self.address?, ADMIN_PORT))).await
    }

    /// The image of the driver, as the pod names it.
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    fn driver(&self) -> Option<&str> {
        let mut containers = self.containers.iter();
        let driver = containers.find(|container| container.name == DRIVER)?;
        let id = driver.container_id.as_deref()?;
        id.strip_prefix("containerd://")
    }
}

// === The replicas ===

impl Installed {
    /// Waits until the Deployment has as many ready pods as it wants, all of them of now.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub async fn available(&self, limit: Duration) -> Result<(), Trouble> {
        let is_it = |deployment: Option<&Deployment>| {
            let wanted = deployment.and_then(|one| one.spec.as_ref()?.replicas);
            let generation = deployment.and_then(|one| one.metadata.generation);
            let status = deployment.and_then(|one| one.status.as_ref());
            wanted.is_some()
                && status.is_some_and(|status| {
                    status.observed_generation == generation
                        && status.ready_replicas == wanted
                        && status.updated_replicas == wanted
                        && status.replicas == wanted
                })
        };
        let deployments = self.here::<Deployment>();
        until(deployments, DEPLOYMENT, "become available", limit, is_it)
            .await
            .map(drop)
    }

    /// The pods of the controller.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn replicas(&self) -> Result<Vec<Replica>, Trouble> {
        let what = || "list the replicas".to_owned();
        let (pods, params) = (self.here::<Pod>(), ListParams::default().labels(SELECTOR));
        let call = pods.list(&params);
        let pods = timeout(CALL_LIMIT, call)
            .await
            .attempt(what)?
            .attempt(what)?;
        Ok(pods.iter().map(Replica::of).collect())
    }

    /// Waits until a replica says that it leads, and gives it.
    ///
    /// # Errors
    /// None does within `limit`.
    pub async fn leader(&self, limit: Duration) -> Result<Replica, Trouble> {
        let look = async {
            let mut ticks = interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                // Each is asked for itself: one that does not answer must not delay another one.
                let replicas = self.replicas().await?.into_iter();
                let roles = replicas.map(|one| async { (one.role().await, one) });
                let mut roles: FuturesUnordered<_> = roles.collect();
                while let Some((role, replica)) = roles.next().await {
                    if role.as_deref() == Some("leader") {
                        return Ok(replica);
                    }
                }
            }
        };
        let seen = timeout(limit, look).await;
        seen.attempt(|| format!("see a leader within {limit:?}"))?
    }

    /// Waits until another process than the holder of before leads.
    ///
    /// # Errors
    /// None does within `limit`.
    pub async fn taken_over(
        &self,
        before: &LeaseView,
        limit: Duration,
    ) -> Result<Replica, Trouble> {
        let look = async {
            let mut ticks = interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                let leader = self.leader(limit).await?;
                let lease = self.lease().await?;
                if lease.holder != before.holder
                    && lease.holder.starts_with(&leader.holder_prefix())
                {
                    return Ok(leader);
                }
            }
        };
        let seen = timeout(limit, look).await;
        seen.attempt(|| format!("see a leader after {before:?} within {limit:?}"))?
    }

    /// The Lease as it stands in the API.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn lease(&self) -> Result<LeaseView, Trouble> {
        let lease = self.read_lease().await?;
        let replicas = self.replicas().await?;
        let pods = replicas.iter();
        let pods = pods.map(|one| (one.name.as_str(), one.holder_prefix()));
        Ok(LeaseView::of(&lease, &pods.collect::<Vec<_>>()))
    }

    /// For how long the holder of the Lease has had it, by its own clock.
    ///
    /// # Errors
    /// The Lease cannot be read, or does not say.
    pub async fn led_for(&self) -> Result<Duration, Trouble> {
        let what = || format!("tell since when Lease {LEASE} is held");
        let lease = self.read_lease().await?;
        let since = lease.spec.and_then(|spec| spec.acquire_time);
        let since = since.ok_or("it does not say").attempt(what)?;
        let held = Timestamp::now().duration_since(since.0);
        Duration::try_from(held).attempt(what)
    }

    async fn read_lease(&self) -> Result<Lease, Trouble> {
        let what = || format!("read Lease {LEASE}");
        let leases = self.here::<Lease>();
        let read = timeout(CALL_LIMIT, leases.get(LEASE));
        read.await.attempt(what)?.attempt(what)
    }

    /// Sends a signal to the driver's process in a pod. In its container it is alone.
    ///
    /// # Errors
    /// There is no such process.
    pub fn signal(&self, replica: &Replica, signal: Signal) -> Result<(), Trouble> {
        let what = || format!("signal the driver in {}", replica.name);
        let workers = self.cluster.workers().iter();
        let mut workers = workers.filter(|worker| worker.name() == replica.node);
        let (worker, container) = workers
            .next()
            .zip(replica.driver())
            .ok_or("it has no container")
            .attempt(what)?;
        let pids = worker.processes(container).into_iter();
        let pids = pids.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pids: Vec<Pid> = pids.collect();
        let [pid] = pids[..] else {
            return Err(format!("its processes are {pids:?}")).attempt(what);
        };
        kill_process(pid, signal).attempt(what)
    }
}
