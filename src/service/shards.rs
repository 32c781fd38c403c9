//! Shards: each volume's operations one after the other, different volumes side by side.
//!
//! A shard is one task that owns the queues of its volumes; operations run in tasks of their own, so
//! no lock is held while one waits for the RDS.

mod job;
mod lanes;
mod queue;
mod worker;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::domain::error::{Error, Kind};
use crate::domain::id::VolumeId;
use crate::domain::shard::{Shard, ShardCount};
use crate::service::shards::job::Job;
pub(in crate::service) use crate::service::shards::lanes::Lane;
use crate::service::shards::queue::Request;
use crate::service::shards::worker::{Standing, Work, Worker};

/// Jobs that run at once, over all shards: 16 in each of 16. A job has at most one line on its way,
/// so together they just fill the 256 places in which lines wait for the four SSH sessions. It is not
/// fewer, for a job may do nothing but wait a second until a revoke has settled: of 64 callers at
/// once, 17 or more meet in a shard about five times in a million.
const MAX_RUNNING: usize = 256;

/// Jobs that wait, over all shards: 256 in each of 16. Three sidecars have at most 128 calls each
/// under way, 24 to a shard; ten times that in one shard is a mistake somewhere.
const MAX_WAITING: usize = 4096;

/// Runs operations: first in, first out per volume, by lanes between volumes.
#[derive(Debug)]
pub(super) struct Shards {
    count: ShardCount,
    /// By index; a shard's task is started by its first job.
    desks: Vec<OnceLock<Desk>>,
    mode: watch::Sender<Mode>,
}

/// How much there is to do in one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Which.
    pub shard: Shard,
    /// Operations that wait.
    pub waiting: usize,
    /// Operations under way.
    pub running: usize,
    /// How long the one that has waited longest has done so.
    pub oldest: Option<Duration>,
}

/// Where callers meet the task of a shard.
#[derive(Debug)]
struct Desk {
    intake: mpsc::Sender<Request<Job>>,
    places: Arc<Semaphore>,
    gone: Arc<Notify>,
    standing: watch::Receiver<Standing>,
}

/// Whether jobs are taken. It only ever goes down.
#[derive(Debug)]
enum Mode {
    Open,
    /// What was taken is carried through, and nothing else is taken.
    Draining,
    /// Nothing goes on, for this reason.
    Cut(Arc<str>),
}

/// A caller who waits. If it goes away, the shard is told to forget its job.
struct Waiting<'a, T> {
    outcome: oneshot::Receiver<Result<T, Error>>,
    gone: Option<&'a Notify>,
}

// === impl Shards ===

impl Shards {
    /// So many shards, none of which has anything to do.
    pub(super) fn new(count: ShardCount) -> Self {
        Self {
            count,
            desks: count.all().map(|_| OnceLock::new()).collect(),
            mode: watch::Sender::new(Mode::Open),
        }
    }

    /// The shard of a volume.
    pub(super) fn shard(&self, id: &VolumeId) -> Shard {
        Shard::of(id, self.count)
    }

    /// Runs `work` after everything that was asked for on this volume before, and answers what it
    /// answers. It must not wait for another run on the same volume.
    ///
    /// # Errors
    /// Besides those of `work`: `Busy`, naming the operation under way, if too many wait for this
    /// volume; `Unavailable` if too many wait in its shard; `NotLeader` while draining and after a
    /// cut; `Bug` if `work` panics, in which case nobody knows how far it came.
    ///
    /// # Cancellation
    /// A caller that goes away while its job waits is forgotten, and nothing of the job is done. A
    /// job that has begun is carried through, whether anybody waits for it or not.
    pub(super) async fn run<T, W>(
        &self,
        id: &VolumeId,
        lane: Lane,
        operation: &'static str,
        work: W,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let attempt = format!("{operation} of {id}");
        let waiting = self
            .ask(id, lane, operation, work)
            .map_err(|refusal| refusal.while_doing(&attempt))?;
        let outcome = waiting.answer().await;
        let cut = self.mode.borrow().cut_error();
        match (outcome, cut) {
            (Some(outcome), None) => outcome,
            // It was refused while it waited.
            (Some(Err(error)), Some(_)) if error.kind() == Kind::NotLeader => Err(error),
            (_, Some(cut)) => Err(cut.while_doing(&attempt).with_unknown_effect()),
            (None, None) => Err(Error::bug(format!("{attempt} broke off")).with_unknown_effect()),
        }
    }

    /// Hands a job to the task of its shard.
    fn ask<T, W>(
        &self,
        id: &VolumeId,
        lane: Lane,
        operation: &'static str,
        work: W,
    ) -> Result<Waiting<'_, T>, Error>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let refusal = self.mode.borrow().refusal();
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let shard = self.shard(id);
        let desk = self.desk(shard);
        let place = Arc::clone(&desk.places)
            .try_acquire_owned()
            .map_err(|_| self.full(shard))?;
        let wait = tracing::info_span!("shard.queue", shard = i64::from(shard.index()));
        let (answer, answered) = oneshot::channel();
        let request = Request {
            id: id.clone(),
            lane,
            operation,
            since: Instant::now(),
            job: Job::new(work, answer, place, wait),
        };
        // There is a slot for every place, so it can only fail because nobody receives.
        desk.intake
            .try_send(request)
            .map_err(|_| Error::bug(format!("the task of shard {shard} has ended")))?;
        Ok(Waiting {
            outcome: answered,
            gone: Some(&desk.gone),
        })
    }

    /// Ends everything: callers of jobs that wait or run are answered with this reason, as are all
    /// that come later, and the jobs are dropped where they stand. Nothing that `run` answers after
    /// this call is a success.
    pub(super) fn cut(&self, why: &str) {
        self.mode.send_if_modified(|mode| {
            let first = !matches!(mode, Mode::Cut(_));
            if first {
                *mode = Mode::Cut(why.into());
            }
            first
        });
    }

    /// Takes no more jobs and waits until none waits or runs. Take care of a deadline: a job may
    /// hang. After a cut it waits until everything has been dropped.
    pub(super) async fn drain(&self) {
        self.mode.send_if_modified(|mode| {
            let first = matches!(mode, Mode::Open);
            if first {
                *mode = Mode::Draining;
            }
            first
        });
        for desk in self.desks.iter().filter_map(OnceLock::get) {
            let mut standing = desk.standing.clone();
            if standing.wait_for(Standing::is_over).await.is_err() {
                tracing::debug!("a shard has no task any more, so nothing waits or runs in it");
            }
        }
    }

    /// What there is to do in each shard.
    pub(super) fn load(&self) -> Vec<Load> {
        let standing = |desk: &OnceLock<Desk>| {
            desk.get()
                .map(|desk| desk.standing.borrow().clone())
                .unwrap_or_default()
        };
        let load = |(shard, standing): (Shard, Standing)| Load {
            shard,
            waiting: standing.waiting,
            running: standing.running,
            oldest: standing.oldest.map(|since| since.elapsed()),
        };
        self.count
            .all()
            .zip(self.desks.iter().map(standing))
            .map(load)
            .collect()
    }

    fn desk(&self, shard: Shard) -> &Desk {
        self.desks
            .get(usize::from(shard.index()))
            .expect("a shard of this count has an index below it")
            .get_or_init(|| self.open(shard))
    }

    /// Starts the task of a shard.
    fn open(&self, shard: Shard) -> Desk {
        let (intake, requests) = mpsc::channel(self.share(MAX_WAITING));
        let (told, standing) = watch::channel(Standing::default());
        let gone = Arc::new(Notify::new());
        let worker = Worker {
            shard,
            intake: requests,
            mode: self.mode.subscribe(),
            gone: Arc::clone(&gone),
            told,
            at_once: self.share(MAX_RUNNING),
            work: Work::default(),
        };
        tokio::spawn(worker.run());
        Desk {
            intake,
            places: Arc::new(Semaphore::new(self.share(MAX_WAITING))),
            gone,
            standing,
        }
    }

    /// What one shard has of `all`.
    fn share(&self, all: usize) -> usize {
        all / usize::from(self.count.get())
    }

    fn full(&self, shard: Shard) -> Error {
        let waiting = self.share(MAX_WAITING);
        Error::new(
            Kind::Unavailable,
            format!("{waiting} operations wait in its shard ({shard}), which is full; retry later"),
        )
    }
}

// === impl Mode ===

impl Mode {
    /// Why no job is taken.
    fn refusal(&self) -> Option<Error> {
        match self {
            Self::Open => None,
            Self::Draining => Some(Error::new(
                Kind::NotLeader,
                "this controller is shutting down; the next leader serves, retry in a moment",
            )),
            Self::Cut(why) => Some(Self::cut(why)),
        }
    }

    /// Why nothing is answered.
    fn cut_error(&self) -> Option<Error> {
        match self {
            Self::Open | Self::Draining => None,
            Self::Cut(why) => Some(Self::cut(why)),
        }
    }

    fn cut(why: &str) -> Error {
        Error::new(Kind::NotLeader, why)
    }
}

// === impl Waiting ===

impl<T> Waiting<'_, T> {
    /// The outcome, or none if the job ended without one.
    async fn answer(mut self) -> Option<Result<T, Error>> {
        let outcome = (&mut self.outcome).await.ok();
        self.gone = None;
        outcome
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(gone) = self.gone {
            self.outcome.close();
            gone.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
