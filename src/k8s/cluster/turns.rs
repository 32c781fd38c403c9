//! One reading for many callers: whoever comes while one is under way shares the next one.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tracing::Instrument;

use crate::k8s::cluster::failure::Failure;

type Batch<T> = Shared<BoxFuture<'static, Result<Arc<T>, Failure>>>;

/// Readings of one thing, one after the other. At most one is under way and one waits.
#[derive(Debug)]
pub(super) struct Turns<T> {
    what: &'static str,
    /// The reading that has not begun: it serves all who come before it does.
    waiting: Arc<Mutex<Option<Batch<T>>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

// === impl Turns ===

impl<T: Send + Sync + 'static> Turns<T> {
    /// `what` is being read, in messages.
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            waiting: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// The outcome of the first reading that begins after this call. `read` is for the case that
    /// none is waiting yet.
    pub(super) async fn next<F>(&self, read: impl FnOnce() -> F) -> Result<Arc<T>, Failure>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let batch = self.join(read);
        batch.await
    }

    fn join<F>(&self, read: impl FnOnce() -> F) -> Batch<T>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = &*waiting {
            return batch.clone();
        }
        let read = read();
        let turn = Arc::clone(&self.turn);
        let door = Arc::clone(&self.waiting);
        // A task of its own: it goes on although the caller that began it gives up, and although
        // none of those who wait happens to be polled.
        let task = tokio::spawn(
            async move {
                let _turn = turn.lock().await;
                let begun = door.lock().unwrap_or_else(PoisonError::into_inner).take();
                drop(begun);
                read.await.map(Arc::new)
            }
            .in_current_span(),
        );
        let what = self.what;
        let batch = async move { task.await.unwrap_or(Err(Failure::Broken(what))) }
            .boxed()
            .shared();
        *waiting = Some(batch.clone());
        batch
    }
}
