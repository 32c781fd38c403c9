//! How the containers of a deployment ended: when, which, and why.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The end of one process of a container.
#[derive(Clone, Debug)]
pub struct Exit {
    /// When.
    pub at: Instant,
    /// In which pod.
    pub pod: String,
    /// Which container.
    pub container: String,
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Who wanted it.
    pub cause: Cause,
    /// The end of what it said.
    pub said: String,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its own decision, or a crash.
    Itself,
    /// The test struck it.
    Blow,
    /// Its pod was deleted, or vanished.
    Deletion,
}

/// All of them so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Exits(Arc<Mutex<Vec<Exit>>>);

// === impl Exits ===

impl Exits {
    pub(crate) fn push(&self, exit: Exit) {
        let mut exits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exits.push(exit);
    }

    /// In the order in which they were seen.
    pub fn all(&self) -> Vec<Exit> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Those that nobody asked for.
    pub fn unasked(&self) -> Vec<Exit> {
        let mut exits = self.all();
        exits.retain(|exit| exit.cause == Cause::Itself);
        exits
    }
}

// === impl Exit ===

impl Exit {
    /// The exit code or signal in a few letters.
    pub fn code(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => self.status.to_string(),
        }
    }
}
