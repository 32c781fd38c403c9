//! One operation and the caller who waits for its outcome.

use std::fmt;

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::Span;

use crate::domain::error::Error;

/// An operation that waits to be started.
pub(super) struct Job {
    order: Box<dyn Order>,
    /// Its place among those that may wait in a shard.
    _place: OwnedSemaphorePermit,
    /// Open for as long as it waits.
    _wait: Span,
}

/// An operation, whatever it answers with.
trait Order: Send {
    fn is_abandoned(&self) -> bool;
    fn refuse(self: Box<Self>, error: Error);
    fn carry_out(self: Box<Self>) -> BoxFuture<'static, ()>;
}

struct Call<T, W> {
    work: W,
    answer: oneshot::Sender<Result<T, Error>>,
}

// === impl Job ===

impl Job {
    pub(super) fn new<T, W>(
        work: W,
        answer: oneshot::Sender<Result<T, Error>>,
        place: OwnedSemaphorePermit,
        wait: Span,
    ) -> Self
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Self {
            order: Box::new(Call { work, answer }),
            _place: place,
            _wait: wait,
        }
    }

    /// Nobody waits for its outcome any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.order.is_abandoned()
    }

    /// Answers with this error instead of starting it.
    pub(super) fn refuse(self, error: Error) {
        self.order.refuse(error);
    }

    /// Carries it through and answers. If its caller has gone by the time it is first polled, nothing
    /// of it is done.
    pub(super) fn start(self) -> BoxFuture<'static, ()> {
        self.order.carry_out()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

// === impl Call ===

impl<T, W> Order for Call<T, W>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Error>> + Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn refuse(self: Box<Self>, error: Error) {
        tell(self.answer, Err(error));
    }

    fn carry_out(self: Box<Self>) -> BoxFuture<'static, ()> {
        let Self { work, answer } = *self;
        Box::pin(async move {
            if !answer.is_closed() {
                let outcome = work.await;
                tell(answer, outcome);
            }
        })
    }
}

fn tell<T>(answer: oneshot::Sender<Result<T, Error>>, outcome: Result<T, Error>) {
    if answer.send(outcome).is_err() {
        tracing::debug!("nobody waits for this outcome any more");
    }
}
