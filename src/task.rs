//! The life of the process: named tasks of which none may end unnoticed, and how signals end it.

pub mod signals;

use std::collections::HashMap;
use std::error::Error as StdError;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

type Source = Box<dyn StdError + Send + Sync>;

/// Named tasks that live and die together. The first one to end, for any reason, ends them all: a
/// process of which a part has silently stopped looks healthy and does nothing.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), Source>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

/// Why the process ends although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A task gave up.
    #[error("{task} failed")]
    Failed {
        /// Its name.
        task: &'static str,
        /// What it said.
        #[source]
        source: Source,
    },
    /// A task panicked.
    #[error("{task} panicked")]
    Panicked {
        /// Its name.
        task: &'static str,
        /// What it said.
        #[source]
        source: JoinError,
    },
    /// A task that goes on until it is stopped ended before that.
    #[error("{task} ended although nobody stopped it")]
    Early {
        /// Its name.
        task: &'static str,
    },
    /// There was nothing to wait for.
    #[error("there is no task to run")]
    NoTask,
}

// === impl Supervisor ===

impl Supervisor {
    /// No tasks yet. Once `stop` is cancelled, a task may end well.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop,
        }
    }

    /// Starts a task. Its log lines carry its name.
    pub fn spawn<E>(
        &mut self,
        task: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<Source>,
    {
        let span = info_span!("task", name = task);
        let work = async { work.await.map_err(Into::into) }.instrument(span);
        let handle = self.tasks.spawn(work);
        self.names.insert(handle.id(), task);
    }

    /// Starts a task that may end well without ending the others, as a server does that has been told
    /// to stop while calls elsewhere are still under way.
    pub fn spawn_aside<E>(
        &mut self,
        task: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<Source> + Send,
    {
        self.spawn(task, async move {
            work.await?;
            std::future::pending::<Result<(), E>>().await
        });
    }

    /// Waits until the first task ends, then aborts the others.
    ///
    /// # Errors
    /// [`Ended`], unless that task ended well after the process was asked to stop.
    pub async fn run(mut self) -> Result<(), Ended> {
        let first = self.tasks.join_next_with_id().await.ok_or(Ended::NoTask)?;
        let id = match &first {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let task = self.names.get(&id).copied().unwrap_or("a task");
        match first {
            Ok((_, Ok(()))) if self.stop.is_cancelled() => Ok(()),
            Ok((_, Ok(()))) => Err(Ended::Early { task }),
            Ok((_, Err(source))) => Err(Ended::Failed { task, source }),
            Err(source) => Err(Ended::Panicked { task, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io;

    use super::*;

    fn supervisor(stop: &CancellationToken) -> Supervisor {
        let mut tasks = Supervisor::new(stop.clone());
        tasks.spawn("other", pending::<io::Result<()>>());
        tasks
    }

    #[tokio::test]
    async fn the_first_task_to_end_for_any_reason_ends_the_process_and_is_named() {
        let stop = CancellationToken::new();

        let mut tasks = supervisor(&stop);
        tasks.spawn("loop", async { Err::<(), _>(io::Error::other("no route")) });
        let error = tasks.run().await.unwrap_err();
        assert_eq!(error.to_string(), "loop failed");
        assert_eq!(error.source().unwrap().to_string(), "no route");

        let mut tasks = supervisor(&stop);
        tasks.spawn("loop", async { Ok::<_, io::Error>(()) });
        let error = tasks.run().await.unwrap_err();
        assert!(matches!(error, Ended::Early { task: "loop" }), "{error}");

        let mut tasks = supervisor(&stop);
        tasks.spawn::<io::Error>("loop", async { panic!("a mistake") });
        let error = tasks.run().await.unwrap_err();
        assert!(
            matches!(error, Ended::Panicked { task: "loop", .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_task_that_ends_after_stop_ends_the_process_well() {
        let stop = CancellationToken::new();
        let mut tasks = supervisor(&stop);
        let asked = stop.clone();
        tasks.spawn("server", async move {
            asked.cancelled().await;
            Ok::<_, io::Error>(())
        });
        stop.cancel();
        assert!(tasks.run().await.is_ok());
    }

    #[tokio::test]
    async fn the_other_tasks_do_not_outlive_the_first() {
        let (alive, gone) = tokio::sync::oneshot::channel::<()>();
        let mut tasks = Supervisor::new(CancellationToken::new());
        tasks.spawn("first", async { Err::<(), _>(io::Error::other("x")) });
        tasks.spawn("second", async move {
            pending::<()>().await;
            drop(alive);
            Ok::<_, io::Error>(())
        });
        assert!(tasks.run().await.is_err());
        assert!(gone.await.is_err(), "its state is dropped");
    }

    #[tokio::test]
    async fn a_process_without_tasks_does_not_wait_for_ever() {
        let tasks = Supervisor::new(CancellationToken::new());
        assert!(matches!(tasks.run().await, Err(Ended::NoTask)));
    }
}
