//! The controller's Deployment: its pods, who of them leads, and what can happen to them.

pub mod lives;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use futures::stream::FuturesUnordered;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::PodSpec;
use kube::{Api, Client};
use rds_csi::workload::cluster::LeaseView;
use tokio::time::{Instant, interval, timeout};

use crate::control_plane::ControlPlane;
use crate::kubeconfig::Access;
use crate::pod::Pod;
use crate::pod::container::BackOff;
use crate::pod::exits::Exits;
use crate::pod::launch::Programs;
use crate::trouble::{Attempt, Trouble};

/// Between two looks whether somebody leads. A look is one HTTP request to each pod.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A pod that was added is looked at within this time, too.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// An API server answers a read in milliseconds; one that restarts, in seconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// What all pods of the Deployment share.
#[derive(Clone)]
pub struct Plan {
    /// The pods' description, as rendered.
    pub spec: PodSpec,
    /// How many of them.
    pub replicas: usize,
    /// How the names of the pods begin.
    pub name: String,
    /// Their namespace.
    pub namespace: String,
    /// The name of their Lease.
    pub lease: String,
    /// An administrator's client: what a kubelet reads for its pods.
    pub client: Client,
    /// Where the API is, and tokens for it come from.
    pub plane: Arc<ControlPlane>,
    /// Where the RDS listens.
    pub rds: SocketAddr,
    /// What is in the images.
    pub programs: Programs,
    /// More variables for the driver.
    pub environment: Vec<(String, String)>,
    /// How soon containers that ended are started again.
    pub back_off: BackOff,
    /// Where their ends are noted.
    pub exits: Exits,
    /// For volumes and kubeconfigs.
    pub folder: PathBuf,
    /// For what the processes say.
    pub logs: PathBuf,
}

/// The running pods. Dropping it kills them.
#[derive(Debug)]
pub struct Deployment {
    plan: Plan,
    pods: Mutex<Vec<Arc<Pod>>>,
    made: Mutex<usize>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Plan ===

impl Plan {
    /// Where the API server listens.
    pub(crate) fn api(&self) -> Result<SocketAddr, Trouble> {
        let server = self.plane.server();
        let address = server.trim_start_matches("https://").parse();
        address.attempt(|| format!("read the address {server}"))
    }

    pub(crate) fn service_account(&self) -> Result<String, Trouble> {
        let account = self.spec.service_account_name.clone();
        account.ok_or_else(|| Trouble::found("the chart's pods have no ServiceAccount"))
    }

    /// A kubeconfig with a token of the pods' ServiceAccount, for the API server at this address.
    pub(crate) async fn kubeconfig(&self, address: SocketAddr) -> Result<String, Trouble> {
        let account = self.service_account()?;
        let token = self
            .plane
            .token(&self.client, &self.namespace, &account)
            .await;
        let token = token.attempt(|| format!("be ServiceAccount {account}"))?;
        let access = Access {
            server: format!("https://{address}"),
            ..self.plane.access_with(token)
        };
        let what = || "write a kubeconfig".to_owned();
        let mut file: serde_json::Value =
            serde_json::from_str(&access.kubeconfig()).attempt(what)?;
        // A pod's own namespace is a file beside its token.
        let context = file.pointer_mut("/contexts/0/context");
        if let Some(context) = context.and_then(serde_json::Value::as_object_mut) {
            context.insert("namespace".to_owned(), self.namespace.clone().into());
        }
        Ok(file.to_string())
    }
}

// === impl Deployment ===

impl Deployment {
    /// Starts all pods at once. Nobody leads yet.
    ///
    /// # Errors
    /// A pod cannot be started.
    pub async fn start(plan: Plan) -> Result<Self, Trouble> {
        let this = Self {
            pods: Mutex::default(),
            made: Mutex::default(),
            plan,
        };
        try_join_all((0..this.plan.replicas).map(|_| this.add())).await?;
        Ok(this)
    }

    /// Its pods.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        lock(&self.pods).clone()
    }

    /// The pod of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn pod(&self, name: &str) -> Result<Arc<Pod>, Trouble> {
        let mut pods = self.pods().into_iter();
        let found = pods.find(|pod| pod.name() == name);
        found.ok_or_else(|| Trouble::found(format!("there is no pod {name}")))
    }

    /// Every end of a container so far.
    pub fn exits(&self) -> &Exits {
        &self.plan.exits
    }

    /// The plan, as it was started.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts another pod; there is one more then.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn add(&self) -> Result<Arc<Pod>, Trouble> {
        let number = {
            let mut made = lock(&self.made);
            *made += 1;
            *made
        };
        let name = format!("{}-{number}", self.plan.name);
        // Large, and part of everything that makes pods.
        let pod = Arc::new(Box::pin(Pod::start(&self.plan, &name)).await?);
        lock(&self.pods).push(Arc::clone(&pod));
        Ok(pod)
    }

    /// Deletes a pod as `kubectl delete pod` does. Its ReplicaSet makes another one at once, while
    /// the old one ends; returns the new one when both have happened.
    ///
    /// # Errors
    /// The new one cannot be started.
    pub async fn delete(&self, pod: &Pod) -> Result<Arc<Pod>, Trouble> {
        self.forget(pod);
        let (new, ()) = tokio::join!(self.add(), pod.delete());
        new
    }

    /// The pod is gone without notice, as with its node; nothing comes in its place before
    /// [`Deployment::add`].
    pub async fn vanish(&self, pod: &Pod) {
        self.forget(pod);
        pod.vanish().await;
    }

    /// Replaces all pods as the chart's `maxSurge: 1` and `maxUnavailable: 0` have it: one more is
    /// started, and when it is ready an old one goes.
    ///
    /// # Errors
    /// One cannot be started, or is not ready within `limit`.
    pub async fn roll(&self, limit: Duration) -> Result<(), Trouble> {
        for old in self.pods() {
            let new = self.add().await?;
            let ready = async {
                let mut ticks = interval(LOOK_EVERY);
                while new.role().await.is_none() {
                    ticks.tick().await;
                }
            };
            let what = || format!("see {} ready:\n{}", new.name(), new.logs());
            timeout(limit, ready).await.attempt(what)?;
            self.forget(&old);
            old.delete().await;
        }
        Ok(())
    }

    /// Ends every process.
    pub async fn stop(&self) {
        let pods = std::mem::take(&mut *lock(&self.pods));
        join_all(pods.iter().map(|pod| pod.vanish())).await;
    }

    /// The end of what everybody said.
    pub fn logs(&self) -> String {
        let logs = self.pods().into_iter().map(|pod| pod.logs());
        logs.collect::<Vec<_>>().join("\n")
    }

    fn forget(&self, pod: &Pod) {
        lock(&self.pods).retain(|one| one.uid() != pod.uid());
    }
}

// === Who leads ===

impl Deployment {
    /// The pod that says now that it leads.
    pub async fn leads(&self) -> Option<Arc<Pod>> {
        let pods = self.pods();
        let roles = join_all(pods.iter().map(|pod| pod.role())).await;
        let mut both = pods.into_iter().zip(roles);
        both.find_map(|(pod, role)| (role.as_deref() == Some("leader")).then_some(pod))
    }

    /// Waits for a pod that says that it leads: its Probe answers ready.
    ///
    /// # Errors
    /// There is none within `limit`.
    pub async fn leader(&self, limit: Duration) -> Result<Arc<Pod>, Trouble> {
        self.leader_but(None, limit).await
    }

    /// Waits for a leader other than this pod; how long that took, and who it is.
    ///
    /// # Errors
    /// There is none within `limit`.
    pub async fn successor(
        &self,
        of: &Pod,
        limit: Duration,
    ) -> Result<(Arc<Pod>, Duration), Trouble> {
        let start = Instant::now();
        let pod = self.leader_but(Some(of), limit).await?;
        Ok((pod, start.elapsed()))
    }

    async fn leader_but(&self, but: Option<&Pod>, limit: Duration) -> Result<Arc<Pod>, Trouble> {
        let look = async {
            let mut ticks = interval(LOOK_AGAIN);
            loop {
                ticks.tick().await;
                // Each is asked for itself: one that is frozen must not delay the answer of another.
                let pods = self.pods().into_iter();
                let pods = pods.filter(|pod| but.is_none_or(|but| but.uid() != pod.uid()));
                let mut leads: FuturesUnordered<_> = pods.map(says_it_leads).collect();
                if let Ok(Some(pod)) = timeout(LOOK_AGAIN, leads.next()).await {
                    return pod;
                }
            }
        };
        timeout(limit, look)
            .await
            .attempt(|| format!("see a leader within {limit:?}:\n{}", self.logs()))
    }

    /// Waits until another process than the holder of this Lease leads, of whatever pod.
    ///
    /// # Errors
    /// None does within `limit`.
    pub async fn taken_over(
        &self,
        before: &LeaseView,
        limit: Duration,
    ) -> Result<Arc<Pod>, Trouble> {
        let look = async {
            let mut ticks = interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                let pod = self.leader(limit).await?;
                let lease = self.lease().await?;
                if lease.holder != before.holder && lease.pod.as_deref() == Some(pod.name()) {
                    return Ok(pod);
                }
            }
        };
        let seen = timeout(limit, look).await;
        let what = || format!("see a leader after {before:?}:\n{}", self.logs());
        seen.attempt(what)?
    }

    /// The Lease.
    ///
    /// # Errors
    /// The API does not answer, or has none.
    pub async fn lease(&self) -> Result<LeaseView, Trouble> {
        let what = || format!("read Lease {}", self.plan.lease);
        let leases: Api<Lease> = Api::namespaced(self.plan.client.clone(), &self.plan.namespace);
        let call = leases.get(&self.plan.lease);
        let lease = timeout(CALL_LIMIT, call)
            .await
            .attempt(what)?
            .attempt(what)?;
        let pods = self.pods();
        let pods = pods.iter().map(|pod| (pod.name(), pod.holder_prefix()));
        Ok(LeaseView::of(&lease, &pods.collect::<Vec<_>>()))
    }
}

/// Ends when the pod says that it leads.
async fn says_it_leads(pod: Arc<Pod>) -> Arc<Pod> {
    let mut ticks = interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        if pod.role().await.as_deref() == Some("leader") {
            return pod;
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
