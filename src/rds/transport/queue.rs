//! The lines that wait for a connection, first in, first out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tracing::Span;

use crate::rds::transport::error::{ExecError, NotSent};
use crate::rds::transport::exec::{ExecOptions, Reply};

/// Most lines that wait at a time. A line takes the device about half a second, so four connections
/// work off 256 in 32 s, which is longer than callers wait; more could not be served in time.
const MAX_WAITING: usize = 256;

/// How often a line is handed to a connection that then could not send it. The second time covers a
/// session that the device dropped while idle; what fails twice is worth telling the caller.
const ATTEMPTS: u32 = 2;

/// A line and where its outcome goes.
pub(super) struct Job {
    pub(super) line: String,
    pub(super) options: ExecOptions,
    /// Counts from 1.
    pub(super) attempt: u32,
    pub(super) answer: oneshot::Sender<Result<Reply, ExecError>>,
    /// The caller's span.
    pub(super) parent: Span,
    /// Open while the line waits.
    pub(super) waiting: Span,
    id: u64,
    last_attempt: Arc<AtomicBool>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    next_id: u64,
}

/// The queue between the callers and the connections of a pool.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

/// A caller's place in the queue, given up when dropped: a line whose caller has gone is not sent.
pub(super) struct Ticket<'a> {
    queue: &'a Queue,
    id: u64,
    last_attempt: Arc<AtomicBool>,
}

// === impl Queue ===

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Puts a line at the end. Its outcome comes through the receiver.
    pub(super) fn push(
        &self,
        line: &str,
        options: &ExecOptions,
    ) -> Result<(Ticket<'_>, oneshot::Receiver<Result<Reply, ExecError>>), NotSent> {
        let (answer, outcome) = oneshot::channel();
        let last_attempt = Arc::new(AtomicBool::new(false));
        let mut waiting = self.lock();
        if waiting.jobs.len() >= MAX_WAITING {
            return Err(NotSent::QueueFull { limit: MAX_WAITING });
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.jobs.push_back(Job {
            line: line.to_owned(),
            options: options.clone(),
            attempt: 1,
            answer,
            parent: Span::current(),
            waiting: tracing::info_span!("rds.connection.wait", rds.attempt = 1),
            id,
            last_attempt: Arc::clone(&last_attempt),
        });
        drop(waiting);
        self.arrived.notify_one();
        Ok((
            Ticket {
                queue: self,
                id,
                last_attempt,
            },
            outcome,
        ))
    }

    /// The line that has waited longest, as soon as there is one. Cancelling loses nothing.
    pub(super) async fn take(&self) -> Job {
        loop {
            {
                let mut waiting = self.lock();
                if let Some(mut job) = waiting.jobs.pop_front() {
                    job.waiting = Span::none();
                    // One wake-up may stand for several arrivals, so it is passed on.
                    if !waiting.jobs.is_empty() {
                        self.arrived.notify_one();
                    }
                    return job;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Puts a line that could not be sent back to the front, or gives it back when it had its
    /// attempts or its caller waits no longer.
    pub(super) fn put_back(&self, mut job: Job) -> Option<Job> {
        let mut waiting = self.lock();
        if job.attempt >= ATTEMPTS || job.last_attempt.load(Ordering::Relaxed) {
            return Some(job);
        }
        job.attempt += 1;
        job.waiting = tracing::info_span!(
            parent: &job.parent,
            "rds.connection.wait",
            rds.attempt = i64::from(job.attempt),
        );
        waiting.jobs.push_front(job);
        drop(waiting);
        self.arrived.notify_one();
        None
    }
}

// === impl Ticket ===

impl Ticket<'_> {
    /// Takes the line out of the queue. False when a connection has it: then its outcome is still to
    /// come, and it will not be put back.
    pub(super) fn withdraw(&self) -> bool {
        let mut waiting = self.queue.lock();
        // Both sides hold the lock when they touch this, which is all the ordering it needs.
        self.last_attempt.store(true, Ordering::Relaxed);
        let place = waiting.jobs.iter().position(|job| job.id == self.id);
        place.and_then(|index| waiting.jobs.remove(index)).is_some()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}
