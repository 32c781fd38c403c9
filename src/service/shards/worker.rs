//! The task of one shard: takes jobs in, starts them when it is their turn, sees them end.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::error;

use crate::domain::error::{Error, Kind};
use crate::domain::id::VolumeId;
use crate::domain::shard::Shard;
use crate::service::shards::Mode;
use crate::service::shards::job::Job;
use crate::service::shards::queue::{Queue, Request};

/// How a shard stands, as its task last told.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// It takes no new jobs, and knows it.
    pub(super) closed: bool,
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) oldest: Option<Instant>,
}

/// One shard at work. Ends when nobody can send it a job any more and the last one has ended.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shard: Shard,
    pub(super) intake: mpsc::Receiver<Request<Job>>,
    pub(super) mode: watch::Receiver<Mode>,
    /// Some caller has gone.
    pub(super) gone: Arc<Notify>,
    pub(super) told: watch::Sender<Standing>,
    /// Jobs that may run at once.
    pub(super) at_once: usize,
    pub(super) work: Work,
}

/// What waits and what runs.
#[derive(Debug, Default)]
pub(super) struct Work {
    queue: Queue<Job>,
    running: JoinSet<()>,
    volumes: HashMap<Id, VolumeId>,
}

// === impl Standing ===

impl Standing {
    /// Nothing waits, nothing runs, and nothing will.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.waiting == 0 && self.running == 0
    }
}

// === impl Worker ===

impl Worker {
    pub(super) async fn run(mut self) {
        let mut open = true;
        while open || !self.work.is_idle() {
            self.obey();
            self.take_in();
            self.work.start(self.at_once);
            self.tell();
            // Departures before arrivals: the places of those who left are free for those who come.
            tokio::select! {
                biased;
                Ok(()) = self.mode.changed() => {}
                () = self.gone.notified() => self.work.queue.forget(Job::is_abandoned),
                Some(ended) = self.work.running.join_next_with_id() => self.ended(ended),
                request = self.intake.recv(), if open => match request {
                    Some(request) => self.take(request),
                    None => open = false,
                },
            }
        }
        self.tell();
    }

    /// After a cut nothing goes on: what waits is answered, what runs is dropped where it stands, and
    /// its callers see that it ended without an answer.
    fn obey(&mut self) {
        let cut = match &*self.mode.borrow_and_update() {
            Mode::Cut(why) => Arc::clone(why),
            Mode::Open | Mode::Draining => return,
        };
        for request in self.work.queue.clear() {
            request.refuse(Mode::cut(&cut));
        }
        self.work.running.abort_all();
    }

    /// Takes in what has arrived, so that the next start is chosen among all of it. What can arrive
    /// in the meantime is bounded by the places of the shard.
    fn take_in(&mut self) {
        for _ in 0..self.intake.max_capacity() {
            match self.intake.try_recv() {
                Ok(request) => self.take(request),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, request: Request<Job>) {
        let refusal = self.mode.borrow().refusal();
        if let Some(error) = refusal {
            request.refuse(error);
        } else if let Err((request, full)) = self.work.queue.push(request) {
            request.refuse(Error::new(Kind::Busy, format!("{full}; retry later")));
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(failure) => failure.id(),
        };
        let Some(id) = self.work.volumes.remove(&task) else {
            return;
        };
        if let Err(failure) = ended
            && failure.is_panic()
        {
            error!(volume.id = %id, shard = self.shard.index(), error = %failure, "an operation broke off");
        }
        self.work.queue.done(&id);
    }

    fn tell(&self) {
        self.told.send_replace(Standing {
            closed: self.mode.borrow().refusal().is_some(),
            waiting: self.work.queue.len(),
            running: self.work.running.len(),
            oldest: self.work.queue.oldest(),
        });
    }
}

// === impl Request ===

impl Request<Job> {
    fn refuse(self, why: Error) {
        let attempt = format!("{} of {}", self.operation, self.id);
        self.job.refuse(why.while_doing(&attempt));
    }
}

// === impl Work ===

impl Work {
    fn start(&mut self, at_once: usize) {
        while self.running.len() < at_once
            && let Some(Request { id, job, .. }) = self.queue.next()
        {
            let task = self.running.spawn(job.start());
            self.volumes.insert(task.id(), id);
        }
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.len() == 0
    }
}
