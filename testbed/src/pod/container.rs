//! One container: a process that is started again when it ends, with the kubelet's back-off, until
//! its pod goes. Every end is recorded.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rds_csi::workload::cluster::Blow;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::exits::{Cause, Exit, Exits};
use crate::process::{Child, Program};
use crate::trouble::{Attempt, Trouble};

/// Longer than any test: the end of a process is waited for as long as it takes.
const FOR_EVER: Duration = Duration::from_hours(24);
/// A killed process is gone in milliseconds.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// How long a container that ended waits for its next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// Before the second restart; there is none before the first. Doubled each time.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
    /// One that ran for so long begins anew.
    pub reset: Duration,
}

/// A container. Dropping it ends its process.
#[derive(Debug)]
pub struct Container {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    pod: String,
    program: Program,
    back_off: BackOff,
    exits: Exits,
    child: Mutex<Option<Arc<Child>>>,
    /// What was done to the present process, if anything was.
    struck: Mutex<Option<Cause>>,
    /// Whether the process is to be started again when it ends.
    wanted: watch::Sender<bool>,
    /// How often it was started.
    lives: watch::Sender<u32>,
}

// === impl BackOff ===

impl Default for BackOff {
    /// The kubelet's: none, then 10 s, doubled up to 5 min; forgotten after 10 min.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_mins(5),
            reset: Duration::from_mins(10),
        }
    }
}

impl BackOff {
    /// The wait after a process that ran for `ran`, given the one before the process.
    fn next(&self, last: Option<Duration>, ran: Duration) -> Duration {
        match last {
            Some(_) if ran >= self.reset => Duration::ZERO,
            None => Duration::ZERO,
            Some(Duration::ZERO) => self.first,
            Some(last) => (last * 2).min(self.longest),
        }
    }
}

// === impl Container ===

impl Container {
    pub(crate) fn start(
        name: &str,
        pod: &str,
        program: Program,
        back_off: BackOff,
        exits: Exits,
    ) -> Result<Self, Trouble> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            pod: pod.to_owned(),
            program,
            back_off,
            exits,
            child: Mutex::default(),
            struck: Mutex::default(),
            wanted: watch::Sender::new(true),
            lives: watch::Sender::new(0),
        });
        shared.spawn()?;
        let task = tokio::spawn(Arc::clone(&shared).tend());
        Ok(Self { shared, task })
    }

    /// Its name in the pod.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        let child = self.shared.child()?;
        child.exit().is_none().then(|| child.pid())
    }

    /// How often it was started.
    pub fn lives(&self) -> u32 {
        *self.shared.lives.borrow()
    }

    /// Waits until it has been started so often.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub async fn started(&self, lives: u32, limit: Duration) -> Result<(), Trouble> {
        let mut seen = self.shared.lives.subscribe();
        let started = timeout(limit, seen.wait_for(|seen| *seen >= lives)).await;
        let what = || {
            format!(
                "see start {lives} of {} in {}",
                self.name(),
                self.shared.pod
            )
        };
        started.attempt(what)?.attempt(what).map(drop)
    }

    /// Does something to the process. A frozen process stands still when this returns.
    ///
    /// # Errors
    /// There is no process.
    pub fn hit(&self, blow: Blow) -> Result<(), Trouble> {
        let signal = match blow {
            Blow::Kill => Signal::KILL,
            Blow::Freeze => Signal::STOP,
            Blow::Thaw => Signal::CONT,
            Blow::Terminate => Signal::TERM,
        };
        let what = || format!("{blow:?} {} of {}", self.shared.name, self.shared.pod);
        let child = self.shared.child().ok_or("it does not run").attempt(what)?;
        if matches!(blow, Blow::Kill | Blow::Terminate) {
            *lock(&self.shared.struck) = Some(Cause::Blow);
        }
        child.signal(signal).attempt(what)?;
        if blow == Blow::Freeze {
            // The signal has been sent, but threads that are on a processor stop a moment later.
            let id = i32::try_from(child.pid()).attempt(what)?;
            let id = rustix::process::Pid::from_raw(id)
                .ok_or("no id")
                .attempt(what)?;
            let states = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(id), states).attempt(what)?;
        }
        Ok(())
    }

    /// Its pod is going: it is not started again when it ends.
    pub(crate) fn retire(&self) {
        self.shared.wanted.send_replace(false);
        *lock(&self.shared.struck) = Some(Cause::Deletion);
    }

    /// SIGTERM, and SIGKILL if it still runs after `grace`. It is not started again.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.retire();
        let Some(child) = self.shared.child() else {
            return;
        };
        // Signals fail for a process that has ended, which is what is wanted.
        drop(child.terminate());
        if child.ended(grace).await.is_err() {
            self.kill().await;
        }
    }

    /// SIGKILL. It is not started again.
    pub(crate) async fn kill(&self) {
        self.retire();
        if let Some(child) = self.shared.child() {
            drop(child.kill());
            drop(child.ended(KILL_LIMIT).await);
        }
    }

    /// The end of what the present process said.
    pub fn log_tail(&self) -> String {
        let child = self.shared.child();
        child.map(|child| child.log_tail()).unwrap_or_default()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.task.abort();
        lock(&self.shared.child).take();
    }
}

// === impl Shared ===

impl Shared {
    fn child(&self) -> Option<Arc<Child>> {
        lock(&self.child).clone()
    }

    fn spawn(&self) -> Result<(), Trouble> {
        lock(&self.struck).take();
        let child = self.program.start();
        let child = child.attempt(|| format!("start {} of {}", self.name, self.pod))?;
        *lock(&self.child) = Some(Arc::new(child));
        self.lives.send_modify(|lives| *lives += 1);
        Ok(())
    }

    /// Starts the process again whenever it has ended, until it is not wanted any more.
    async fn tend(self: Arc<Self>) {
        let mut wanted = self.wanted.subscribe();
        let mut last = None;
        while let Some(child) = self.child() {
            let since = Instant::now();
            let Ok(exit) = child.ended(FOR_EVER).await else {
                return;
            };
            self.exits.push(Exit {
                at: exit.at,
                pod: self.pod.clone(),
                container: self.name.clone(),
                status: exit.status,
                cause: lock(&self.struck).take().unwrap_or(Cause::Itself),
                said: child.log_tail(),
            });
            let wait = self.back_off.next(last, since.elapsed());
            last = Some(wait);
            tokio::select! {
                _ = wanted.wait_for(|wanted| !wanted) => return,
                () = sleep(wait) => {}
            }
            if let Err(error) = self.spawn() {
                crate::tools::say(&error.to_string());
                return;
            }
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_forgotten_after_a_long_run() {
        let back_off = BackOff::default();
        let (short, long) = (Duration::from_secs(1), Duration::from_mins(10));
        let mut last = None;
        for expected in [0, 10, 20, 40, 80, 160, 300, 300] {
            last = Some(back_off.next(last, short));
            assert_eq!(last, Some(Duration::from_secs(expected)));
        }
        assert_eq!(back_off.next(last, long), Duration::ZERO);
    }
}
