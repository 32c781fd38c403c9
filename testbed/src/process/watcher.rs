//! One thread per child waits for its end, so that an exit is seen when it happens and not when
//! somebody asks.

use std::io;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use tokio::sync::watch;

use super::Exit;

/// The process id for as long as it is ours: `None` once the process has been reaped, when the id may
/// be anyone's.
#[derive(Debug, Clone)]
pub(super) struct Life(Arc<Mutex<Option<Pid>>>);

impl Life {
    /// Sends a signal to the process if it has not been reaped.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match *self.lock() {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }

    /// Kills everything in the group of the process, which is what ends with a container too.
    pub(super) fn end(&self) {
        if let Some(pid) = *self.lock() {
            // It fails only where everybody has ended already.
            kill_process_group(pid, Signal::KILL).unwrap_or_default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Watched = (Pid, Life, watch::Receiver<Option<Exit>>, JoinHandle<()>);

/// Watches a process that has just been started.
pub(super) fn watch(mut child: Child) -> io::Result<Watched> {
    let pid = Pid::from_child(&child);
    let life = Life(Arc::new(Mutex::new(Some(pid))));
    let (seen, exits) = watch::channel(None);
    let ours = life.clone();
    let thread = thread::Builder::new().name(format!("watch {pid:?}"));
    let watcher = thread.spawn(move || {
        // Not reaped by this: until the lock is held, nobody else can be given its id.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        let at = Instant::now();
        ours.end();
        let mut id = ours.lock();
        if let Ok(status) = child.wait() {
            *id = None;
            seen.send_replace(Some(Exit { at, status }));
        }
    })?;
    Ok((pid, life, exits, watcher))
}
