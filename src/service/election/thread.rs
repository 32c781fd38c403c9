//! The election on a thread and a runtime of its own: nothing that this process serves can delay a
//! renewal, and a process that has lost leadership ends even if everything else in it hangs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::service::election::{Candidate, Lost};

/// How long the rest of the process has to cut what is under way and end by itself. A lost
/// leadership is noticed within [`RECORD`](super::RECORD), 200 ms, so the process is gone within
/// 0.9 s of the deadline, and is promised to be within 1 s.
const GRACE: Duration = Duration::from_millis(700);

/// What `main` exits with after an error.
const FAILURE: i32 = 1;

/// A runtime for an election that has not begun.
///
/// What talks to the Kubernetes API must be made [within](ElectionRuntime::within) it: such a client
/// leaves its work to the runtime in which it was made.
#[derive(Debug)]
pub struct ElectionRuntime(Option<Runtime>);

/// An election under way.
#[derive(Debug)]
pub struct ElectionThread {
    ended: oneshot::Receiver<Result<(), Lost>>,
}

/// The election ended although nobody stopped it. The process is about to be ended.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Leadership was lost.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The thread died of a mistake of this program; what it said is on stderr.
    #[error("the election thread panicked")]
    Panicked,
}

/// Ends the process with this code, whatever else runs in it.
#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "main cannot return while its runtime hangs, and a leader that was deposed must go"
)]
pub fn end_process(code: i32) {
    std::process::exit(code);
}

// === impl ElectionRuntime ===

impl ElectionRuntime {
    /// A runtime that nothing else uses.
    ///
    /// # Errors
    /// If the kernel has no room for it.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Makes something whose work this runtime will do.
    pub fn within<T>(&self, make: impl FnOnce() -> T) -> T {
        let _entered = self.0.as_ref().map(Runtime::enter);
        make()
    }

    /// Begins the election, until `stop` as in [`Candidate::run`]. If it ends by itself, `end` is
    /// called with an exit code after a grace, on the election's thread; see [`end_process`].
    ///
    /// # Errors
    /// If there is no room for a thread.
    pub fn start(
        mut self,
        candidate: Candidate,
        stop: CancellationToken,
        end: impl FnOnce(i32) + Send + 'static,
    ) -> io::Result<ElectionThread> {
        let (tell, ended) = oneshot::channel();
        thread::Builder::new()
            .name("election".into())
            .spawn(move || {
                if let Some(runtime) = self.0.take() {
                    run(&runtime, candidate, stop, tell, end);
                    // A write to the pod's record may hang in the kernel for ever.
                    runtime.shutdown_background();
                }
            })?;
        Ok(ElectionThread { ended })
    }
}

impl Drop for ElectionRuntime {
    /// A runtime may not be dropped within another, where it would wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn run(
    runtime: &Runtime,
    candidate: Candidate,
    stop: CancellationToken,
    tell: oneshot::Sender<Result<(), Lost>>,
    end: impl FnOnce(i32),
) {
    // Nothing of the candidate is used after a panic.
    let election = AssertUnwindSafe(|| runtime.block_on(candidate.run(stop)));
    let outcome = catch_unwind(election).ok();
    let well = matches!(outcome, Some(Ok(())));
    match outcome {
        Some(outcome) => {
            // Nobody may listen any more: the process is ending already.
            let _gone = tell.send(outcome);
        }
        None => drop(tell),
    }
    if well {
        return;
    }
    runtime.block_on(async { tokio::time::sleep(GRACE).await });
    error!("the election is over and the process did not end by itself; it is ended");
    end(FAILURE);
}

// === impl ElectionThread ===

impl ElectionThread {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`Failed`] if it ended without having been stopped: end the process, quickly.
    ///
    /// # Cancellation
    /// The election goes on, and so does its watch over the process.
    pub async fn ended(self) -> Result<(), Failed> {
        match self.ended.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Failed::Panicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::domain::election::{HolderId, Loss, Timing};
    use crate::domain::leadership::BootTime;
    use crate::ports::{Clock, LeaseStore};
    use crate::service::election::heartbeat::{Heartbeat, WhileAlive};
    use crate::service::election::testing::{FreeLease, RealClock};

    /// Far longer than any of these tests takes.
    const PATIENCE: Duration = Duration::from_mins(1);

    fn timing() -> Timing {
        Timing::shortened(Duration::from_secs(2))
    }

    fn start(
        store: Arc<dyn LeaseStore>,
        stop: &CancellationToken,
    ) -> (ElectionThread, Receiver<(i32, BootTime)>) {
        let me = HolderId::of_process("pod", "uid", 1).unwrap();
        let election = ElectionRuntime::new().unwrap();
        let (candidate, reports, _) = Candidate::new(me, timing(), store, Arc::new(RealClock));
        drop(reports);
        let (exited, exits) = channel();
        let end = move |code| exited.send((code, RealClock.boot())).unwrap();
        (election.start(candidate, stop.clone(), end).unwrap(), exits)
    }

    fn wait(thread: ElectionThread) -> Result<(), Failed> {
        let serving = Builder::new_current_thread().build().unwrap();
        serving.block_on(thread.ended())
    }

    #[test]
    fn a_lost_leader_ends_within_a_second_of_its_deadline_though_nothing_else_runs() {
        let lease = Arc::new(FreeLease::default());
        // There is no serving runtime in this test, as good as one that hangs: the heart stops.
        let store = WhileAlive::new(lease.clone(), Heartbeat::new(Arc::new(RealClock)));
        let (thread, exits) = start(Arc::new(store), &CancellationToken::new());
        let (code, at) = exits.recv_timeout(PATIENCE).unwrap();
        assert_eq!(code, FAILURE);
        let deadline = lease.written().unwrap().after(timing().renew_deadline());
        let late = deadline.until(at);
        assert!(late < Duration::from_secs(1), "{late:?}");
        let failed = wait(thread).unwrap_err();
        assert!(
            matches!(failed, Failed::Lost(Lost(Loss::Expired))),
            "{failed}"
        );
    }

    #[test]
    fn a_panic_of_the_thread_ends_the_process() {
        let (thread, exits) = start(Arc::new(FreeLease::panicking()), &CancellationToken::new());
        assert_eq!(exits.recv_timeout(PATIENCE).unwrap().0, FAILURE);
        assert!(matches!(wait(thread), Err(Failed::Panicked)));
    }

    #[test]
    fn an_election_that_is_stopped_leaves_the_process_alone() {
        let stop = CancellationToken::new();
        stop.cancel();
        let (thread, exits) = start(Arc::new(FreeLease::default()), &stop);
        assert!(wait(thread).is_ok());
        // The thread is done with it, and has not called it.
        assert!(exits.recv_timeout(PATIENCE).is_err());
    }

    #[tokio::test]
    async fn a_runtime_that_was_never_started_may_be_dropped_within_another() {
        let election = ElectionRuntime::new().unwrap();
        let answer = election.within(|| tokio::spawn(async { 1 }));
        drop(election);
        assert!(answer.await.unwrap_err().is_cancelled());
    }
}
