//! One controller of several: election, claims and events beside what every controller has.

use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::replica::ReplicaConfig;
use crate::controller::api::{self, Whose};
use crate::controller::source::{Part, Side};
use crate::csi::server::DRAIN_LIMIT;
use crate::domain::election::{Change, HolderId, ShortCutRules, Standing};
use crate::k8s::cluster::KubeCluster;
use crate::k8s::events::{KubeEvents, Limits, Settings as EventSettings};
use crate::k8s::lease::KubeLease;
use crate::lockfile::LockFile;
use crate::metrics::election::Election as Counters;
use crate::ports::{Clock, LeaseStore};
use crate::service::election::heartbeat::{Heartbeat, WhileAlive};
use crate::service::election::thread::{ElectionRuntime, ElectionThread, Failed, end_process};
use crate::service::election::{Candidate, Reports};
use crate::service::{Kubernetes, Pace, Volumes};
use crate::task::Supervisor;
use crate::telemetry::context;

/// How long callers get to read that their calls were cut. The election's thread ends the process
/// 0.7 s after the loss, whatever happens here.
const FAREWELL: Duration = Duration::from_millis(200);

/// The Kubernetes side of this process, ready to run.
pub(super) struct Replica {
    cluster: Arc<KubeCluster>,
    events: Arc<KubeEvents>,
    heart: Heartbeat,
    election: ElectionThread,
    /// Cancelled once nothing is under way any more: the Lease is given up then.
    leave: CancellationToken,
    standing: watch::Receiver<Standing>,
    lease: watch::Receiver<Option<Change>>,
    reports: Reports,
    counters: Counters,
    pulse: Heartbeat,
    pace: Pace,
}

/// How this process ends in order: what asks for it, and what says that it is done.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    /// Somebody wants it drained; it may be told to end later.
    pub(super) drain: CancellationToken,
    /// Calls under way are answered, and the Lease is given up.
    pub(super) drained: CancellationToken,
}

impl Replica {
    /// Stands for election from here on.
    ///
    /// # Errors
    /// If the configuration of the API cannot be used, or this pod cannot stand.
    pub(super) async fn start(
        config: ReplicaConfig,
        driver: &str,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let ReplicaConfig {
            kubeconfig,
            namespace,
            lease,
            timing,
            pod,
            pod_uid,
            lock_file,
            short_cut,
            reconcile_interval,
            grace,
        } = config;
        let api = api::config(kubeconfig.as_deref(), Whose::Pod).await?;
        let namespace = namespace.unwrap_or_else(|| api.default_namespace.clone());
        let me = HolderId::of_process(&pod, &pod_uid, clock.random())?;
        info!(%me, namespace, lease, "standing for election");
        let cluster = Arc::new(KubeCluster::new(&api, driver)?);
        let settings = EventSettings {
            driver: driver.to_owned(),
            instance: pod,
            lease_namespace: namespace.clone(),
            lease_name: lease.clone(),
            trace: context::trace_id,
            limits: Limits::default(),
        };
        let events = Arc::new(KubeEvents::new(&api, settings, cluster.clone())?);

        let runtime = ElectionRuntime::new().context("cannot start the election's runtime")?;
        let store =
            runtime.within(|| KubeLease::new(&api, &namespace, &lease, me.clone(), timing))?;
        let heart = Heartbeat::new(Arc::clone(&clock));
        let store: Arc<dyn LeaseStore> = Arc::new(WhileAlive::new(Arc::new(store), heart.clone()));
        let (candidate, reports, standing) =
            Candidate::new(me.clone(), timing, store, Arc::clone(&clock));
        let lease_seen = candidate.lease();
        let counters = candidate.counters().clone();
        let pulse = candidate.pulse().clone();
        let candidate = match lock_file {
            Some(path) => with_lock(candidate, &path, &me, &short_cut, clock.as_ref()),
            None => candidate,
        };
        let leave = CancellationToken::new();
        let election = runtime
            .start(candidate, leave.clone(), end_process)
            .context("cannot start the election's thread")?;
        Ok(Self {
            cluster,
            events,
            heart,
            election,
            leave,
            standing,
            lease: lease_seen,
            reports,
            counters,
            pulse,
            pace: Pace {
                interval: reconcile_interval,
                grace,
            },
        })
    }
}

impl Replica {
    /// What the services need of it.
    pub(super) fn kubernetes(&self) -> Kubernetes {
        Kubernetes {
            cluster: self.cluster.clone(),
            events: self.events.clone(),
        }
    }

    /// What its election counts.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What people may ask it.
    pub(super) fn side(&self) -> Side {
        Side {
            lease: self.lease.clone(),
            cluster: self.cluster.clone(),
            part: Some(Part {
                standing: self.standing.clone(),
                events: self.events.clone(),
                pulse: self.pulse.clone(),
            }),
        }
    }

    /// Runs its parts. Returns what is cancelled when `stop` has been cancelled, calls under way are
    /// answered and the Lease is given up: the server may go then.
    pub(super) fn spawn(
        self,
        tasks: &mut Supervisor,
        volumes: &Volumes,
        stop: CancellationToken,
        end: End,
    ) -> CancellationToken {
        let Self {
            cluster,
            events,
            heart,
            election,
            leave,
            standing,
            lease: _,
            counters: _,
            pulse: _,
            reports,
            pace,
        } = self;
        let over = CancellationToken::new();
        for_ever(tasks, "heartbeat", heart.run());
        for_ever(tasks, "mirror", cluster.watch(over.clone()));
        for_ever(tasks, "events", async move { events.run().await });
        let leading = volumes.clone();
        for_ever(tasks, "volumes", async move {
            leading.lead(standing, reports, pace).await;
        });
        let ending = Ending {
            volumes: volumes.clone(),
            leave,
            over: over.clone(),
            end,
        };
        tasks.spawn("election", ending.run(election, stop));
        over
    }
}

/// The orderly end, and the other one.
struct Ending {
    volumes: Volumes,
    leave: CancellationToken,
    over: CancellationToken,
    end: End,
}

impl Ending {
    /// Ends only with the process, or in failure: a part that ends well would end the others.
    async fn run(self, election: ElectionThread, stop: CancellationToken) -> Result<(), Failed> {
        let mut ended = pin!(election.ended());
        tokio::select! {
            // Also while calls finish: another replica may have taken what this one had to offer.
            ended = &mut ended => {
                let why = match &ended {
                    Err(failed) => failed.to_string(),
                    Ok(()) => "the election ended".to_owned(),
                };
                self.volumes.cut(&why);
                tokio::time::sleep(FAREWELL).await;
                return ended;
            }
            () = self.finish(&stop) => {}
        }
        self.leave.cancel();
        ended.await?;
        self.end.drained.cancel();
        // A drained replica stays, not ready and out of the election, until it is told to end: a
        // container that ends while its pod is being deleted may be started once more.
        stop.cancelled().await;
        self.over.cancel();
        std::future::pending().await
    }

    /// Once it is asked for: not ready, no new calls, those under way are answered. Only then may the
    /// Lease be given up, as another replica may lead a moment after that.
    async fn finish(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.end.drain.cancelled() => {}
        }
        self.volumes.stop();
        let drained = tokio::time::timeout(DRAIN_LIMIT, self.volumes.drain()).await;
        if drained.is_err() {
            warn!(limit = ?DRAIN_LIMIT, "calls are still under way and are cut; their callers ask again");
            self.volumes.cut("this replica is shutting down");
        }
    }
}

fn for_ever(
    tasks: &mut Supervisor,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn_aside(name, async move {
        work.await;
        Ok::<_, Infallible>(())
    });
}

/// With the pod's lock, a crash costs no lease. Without it the ordinary election serves.
fn with_lock(
    candidate: Candidate,
    path: &Path,
    me: &HolderId,
    rules: &ShortCutRules,
    clock: &dyn Clock,
) -> Candidate {
    let lock = match LockFile::take(path) {
        Ok(lock) => lock,
        Err(refused) => {
            let why = &refused as &dyn std::error::Error;
            warn!(
                why,
                "no lock on this pod; after a crash it waits for the Lease to run out"
            );
            return candidate;
        }
    };
    let predecessor = match lock.predecessor(me, rules, clock.boot()) {
        Ok(predecessor) => {
            info!(
                ?predecessor,
                "this pod's former process is dead; its Lease may be taken at once"
            );
            Some(predecessor)
        }
        Err(why) => {
            info!(%why, "no short cut to the Lease");
            None
        }
    };
    candidate.with_legacy(Arc::new(lock), predecessor)
}
