//! Use-cases: what each CSI call does, over ports, in domain types.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{Instrument, Span};

use crate::domain::election::Standing;
use crate::domain::error::Error;
use crate::domain::event::{Event, What};
use crate::domain::file::Directory;
use crate::domain::id::{ClusterId, NodeId, VolumeId};
use crate::domain::leadership::Epoch;
use crate::domain::shard::ShardCount;
use crate::metrics::volumes::Volumes as Counters;
use crate::ports::{Backend, Clock, Cluster, Events};
use crate::service::blocked::Blocked;
use crate::service::decisions::Decisions;
use crate::service::drift::Drift;
use crate::service::election::Reports;
use crate::service::ledger::Ledger;
use crate::service::overview::Reach;
use crate::service::shards::{Lane, Shards};
use crate::service::shares::Shares;
use crate::service::term::{NoTerm, Terms};

mod blocked;
mod decisions;
mod drift;
pub mod election;
mod inspect;
mod join;
mod lead;
mod ledger;
mod loss;
mod mend;
mod overview;
mod provision;
mod publish;
mod reading;
mod rebuild;
mod reconcile;
mod registers;
mod shards;
mod shares;
mod term;
mod unpublish;

pub use decisions::Decision;
pub use drift::{Finding, Orphan};
pub use inspect::{Page, Room, Status};
pub use overview::{Account, Overview};
pub use provision::{CreateVolume, Created};
pub use publish::{PublishVolume, explain};
pub use reconcile::Pace;
pub use shards::Load;

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
    /// Among how many shards the volumes are divided.
    pub shards: ShardCount,
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
    decisions: Decisions,
    shares: Shares,
    drift: Drift,
    reach: Reach,
    shards: Shards,
    counters: Counters,
}

impl Volumes {
    /// The services of a standalone controller; they answer UNAVAILABLE until [`Volumes::run`] has
    /// read the RDS once.
    pub fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self::with(backend, clock, settings, None, None)
    }

    /// The services of one replica of several; they answer UNAVAILABLE until [`Volumes::lead`] has
    /// been elected and has read both sides.
    pub fn in_cluster(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        kubernetes: Kubernetes,
    ) -> Self {
        let Kubernetes { cluster, events } = kubernetes;
        Self::with(backend, clock, settings, Some(cluster), Some(events))
    }

    /// Somebody who only looks, and never leads: [`Volumes::census`] and [`Volumes::account`]. Calls
    /// are answered UNAVAILABLE for ever.
    pub fn outside(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        cluster: Arc<dyn Cluster>,
    ) -> Self {
        Self::with(backend, clock, settings, Some(cluster), None)
    }

    fn with(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        cluster: Option<Arc<dyn Cluster>>,
        events: Option<Arc<dyn Events>>,
    ) -> Self {
        Self(Arc::new(State {
            terms: Terms::new(Arc::clone(&backend), Arc::clone(&clock)),
            backend,
            clock,
            cluster,
            events,
            ledger: Ledger::default(),
            blocked: Blocked::default(),
            decisions: Decisions::default(),
            shares: Shares::default(),
            drift: Drift::default(),
            reach: Reach::default(),
            shards: Shards::new(settings.shards),
            counters: Counters::default(),
            settings,
        }))
    }

    /// A standalone controller: reads the RDS at start and after every restart of it. Never ends by
    /// itself.
    pub async fn run(&self) {
        rebuild::run(&self.0).await;
    }

    /// One replica of several: follows, takes over when elected, serves while it leads. Never ends by
    /// itself.
    pub async fn lead(&self, standing: watch::Receiver<Standing>, reports: Reports, pace: Pace) {
        lead::run(&self.0, standing, reports, pace).await;
    }

    /// No call is served any more, for good: the first step of an orderly end.
    pub fn stop(&self) {
        self.0.terms.end(NoTerm::Stopping);
    }

    /// Whether calls are served now: the answer to Probe.
    pub fn ready(&self) -> bool {
        self.0.terms.current().is_ok()
    }

    /// Whether this process may still answer: not once its leadership has run out, as what is on its
    /// way to a caller may be a success of that time.
    pub fn may_answer(&self) -> bool {
        !self.0.terms.ran_out()
    }

    /// What there is to do in each shard of the volumes.
    pub fn load(&self) -> Vec<Load> {
        self.0.shards.load()
    }

    /// What they count.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Leadership is lost, as `why` says: nothing goes on, and every caller is told so at once.
    pub fn cut(&self, why: &str) {
        self.0.shards.cut(why);
    }

    /// Takes no more calls and waits until none is under way. One may hang: give it a deadline.
    pub async fn drain(&self) {
        self.0.shards.drain().await;
    }

    /// Runs one operation on one volume after those that asked before it.
    ///
    /// A caller that goes away while it waits is forgotten. Once the operation runs it is carried
    /// through, whether anybody waits for it or not: what was begun on the RDS is also recorded.
    async fn exclusively<T, F>(
        &self,
        id: &VolumeId,
        lane: Lane,
        operation: &'static str,
        work: impl FnOnce(Arc<State>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let term = self.0.terms.current()?;
        let caller = Span::current();
        caller.record("shard", i64::from(self.0.shards.shard(id).index()));
        caller.record("lease.epoch", traced(term.epoch()));
        let (state, volume) = (Arc::clone(&self.0), id.clone());
        let work = work(Arc::clone(&self.0));
        let carried = async move {
            let span = tracing::info_span!(
                parent: &caller,
                "volume.operation",
                operation,
                csi.volume_id = %volume,
                shard = i64::from(state.shards.shard(&volume).index()),
                lease.epoch = state.terms.current().map(|term| traced(term.epoch())).ok(),
            );
            drop(state);
            work.instrument(span).await
        };
        let outcome = self.0.shards.run(id, lane, operation, carried).await?;
        // Once more, as late as can be: the process may have stood still since the operation ended.
        term.check().map_err(Error::with_unknown_effect)?;
        Ok(outcome)
    }
}

/// An epoch as spans have it, whose numbers are signed.
fn traced(epoch: Epoch) -> i64 {
    i64::try_from(epoch.digits()).unwrap_or(i64::MAX)
}

// === impl State ===

impl State {
    /// Counts it, and tells people, if there is anywhere to tell them.
    fn tell(&self, epoch: Epoch, what: What) {
        self.counters.happened(&what, self.scheme().mode);
        if let Some(events) = &self.events {
            events.post(Event { epoch, what });
        }
    }
}
