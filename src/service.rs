//! Use-cases: what each CSI call does, over ports, in domain types.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument;

use crate::domain::election::Standing;
use crate::domain::error::Error;
use crate::domain::event::{Event, What};
use crate::domain::file::Directory;
use crate::domain::id::{ClusterId, NodeId, VolumeId};
use crate::domain::leadership::Epoch;
use crate::ports::{Backend, Clock, Cluster, Events};
use crate::service::blocked::Blocked;
use crate::service::election::Reports;
use crate::service::inflight::Inflight;
use crate::service::ledger::Ledger;
use crate::service::shares::Shares;
use crate::service::term::{NoTerm, Terms};

mod blocked;
pub mod election;
mod inflight;
mod inspect;
mod join;
mod lead;
mod ledger;
mod loss;
mod mend;
mod provision;
mod publish;
mod reading;
mod rebuild;
mod registers;
mod shares;
mod term;
mod unpublish;

pub use inspect::{Page, Room, Status};
pub use provision::{CreateVolume, Created};
pub use publish::PublishVolume;

/// What the services are told by configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose volumes these are.
    pub cluster: ClusterId,
    /// Backing files lie here or below.
    pub base: Directory,
    /// `rdsAddress` of contexts.
    pub rds_address: String,
    /// `nvmeAddress` where a StorageClass names none.
    pub nvme_address: IpAddr,
    /// How long a revoke must have stood before another node is let in. Kernel targets end their
    /// sessions within 0.3 s of the export going off.
    pub revoke_settle: Duration,
    /// If given, any other node does not exist.
    pub allowed_nodes: Option<Vec<NodeId>>,
}

/// The Kubernetes side of one replica.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// What VolumeAttachments say.
    pub cluster: Arc<dyn Cluster>,
    /// Where people are told what happened.
    pub events: Arc<dyn Events>,
}

/// The use-cases of the controller. Clones share one state.
#[derive(Debug, Clone)]
pub struct Volumes(Arc<State>);

#[derive(Debug)]
struct State {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// What VolumeAttachments say; nothing in a standalone controller.
    cluster: Option<Arc<dyn Cluster>>,
    /// Where people are told; nowhere in a standalone controller.
    events: Option<Arc<dyn Events>>,
    terms: Terms,
    ledger: Ledger,
    blocked: Blocked,
    shares: Shares,
    inflight: Inflight,
}

impl Volumes {
    /// The services of a standalone controller; they answer UNAVAILABLE until [`Volumes::run`] has
    /// read the RDS once.
    pub fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self::with(backend, clock, settings, None)
    }

    /// The services of one replica of several; they answer UNAVAILABLE until [`Volumes::lead`] has
    /// been elected and has read both sides.
    pub fn in_cluster(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        kubernetes: Kubernetes,
    ) -> Self {
        Self::with(backend, clock, settings, Some(kubernetes))
    }

    fn with(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        kubernetes: Option<Kubernetes>,
    ) -> Self {
        let (cluster, events) = kubernetes
            .map(|Kubernetes { cluster, events }| (cluster, events))
            .unzip();
        Self(Arc::new(State {
            terms: Terms::new(Arc::clone(&backend), Arc::clone(&clock)),
            backend,
            clock,
            settings,
            cluster,
            events,
            ledger: Ledger::default(),
            blocked: Blocked::default(),
            shares: Shares::default(),
            inflight: Inflight::default(),
        }))
    }

    /// A standalone controller: reads the RDS at start and after every restart of it. Never ends by
    /// itself.
    pub async fn run(&self) {
        rebuild::run(&self.0).await;
    }

    /// One replica of several: follows, takes over when elected, serves while it leads. Never ends by
    /// itself.
    pub async fn lead(&self, standing: watch::Receiver<Standing>, reports: Reports) {
        lead::run(&self.0, standing, reports).await;
    }

    /// No call is served any more, for good: the first step of an orderly end.
    pub fn stop(&self) {
        self.0.terms.end(NoTerm::Stopping);
    }

    /// Whether calls are served now: the answer to Probe.
    pub fn ready(&self) -> bool {
        self.0.terms.current().is_ok()
    }

    /// Runs one operation on one volume after those that asked before it.
    ///
    /// A caller that goes away while it waits is forgotten. Once the operation runs it is carried
    /// through, whether anybody waits for it or not: what was begun on the RDS is also recorded.
    async fn exclusively<T, F>(
        &self,
        id: &VolumeId,
        operation: &'static str,
        work: impl FnOnce(Arc<State>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let turn = self
            .0
            .inflight
            .enter(id, operation)
            .instrument(tracing::info_span!("volume.wait", volume.id = %id))
            .await?;
        let work = work(Arc::clone(&self.0));
        let carried = tokio::spawn(
            async move {
                let _turn = turn;
                work.await
            }
            .instrument(tracing::info_span!(
                "volume.operation",
                operation,
                volume.id = %id,
                lease.epoch = ?self.0.terms.current().map(|term| term.epoch()).ok(),
            )),
        );
        carried.await.unwrap_or_else(|failure| {
            Err(Error::bug(format!("{operation} of {id} broke off")).because(failure))
        })
    }
}

// === impl State ===

impl State {
    /// Tells people, if there is anywhere to tell them.
    fn tell(&self, epoch: Epoch, what: What) {
        if let Some(events) = &self.events {
            events.post(Event { epoch, what });
        }
    }
}
