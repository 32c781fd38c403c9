//! Points where a test may hold one line while other lines run.
//!
//! RouterOS does not promise that `set [find …]` is atomic. A gate can stop a line exactly between
//! the evaluation of its `[find …]` and the application of the verb, let others in, and go on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::sim::name::Name;

/// Where in a line the interpreter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PointKind {
    /// Nothing of the command has been evaluated.
    BeforeCommand,
    /// The items are known (`[find …]` is done), the verb is not applied. `set` and `remove` only.
    BetweenFindAndSet,
    /// The command has taken effect.
    AfterCommand,
}

/// One stop on the way of a line.
#[derive(Debug, Clone)]
pub struct Point {
    /// Number of the line since the device was made, from 1.
    pub line: u64,
    /// Who sent it.
    pub user: Name,
    /// The whole line.
    pub text: Name,
    /// Number of the menu command within the line, from 0. Commands inside `[…]` do not count.
    pub step: usize,
    /// Where.
    pub kind: PointKind,
    /// The verb with its menu, such as `/disk/set`.
    pub verb: &'static str,
}

/// What becomes of a line at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// The line ends here, as if the device had lost it: no output, nothing further applied.
    Abandon,
}

/// Awaited at every point of every line.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Called without any lock held; may take as long as it likes.
    async fn at(&self, point: &Point) -> Verdict;
}

type Predicate = Box<dyn Fn(&Point) -> bool + Send + Sync>;

/// A gate of one-shot breakpoints: each stops the first line that matches it.
#[derive(Default)]
pub struct Breakpoints {
    armed: Mutex<Vec<(Predicate, Arc<Stop>)>>,
}

/// The two halves of one breakpoint meet here.
#[derive(Default)]
struct Stop {
    point: Mutex<Option<Point>>,
    verdict: Mutex<Option<Verdict>>,
    arrived: Notify,
    decided: Notify,
}

/// One armed breakpoint. Dropping it releases the line it holds.
pub struct Held {
    stop: Arc<Stop>,
}

impl Breakpoints {
    /// Stops the first line whose point satisfies `matches`.
    pub fn hold(&self, matches: impl Fn(&Point) -> bool + Send + Sync + 'static) -> Held {
        let stop = Arc::new(Stop::default());
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        armed.push((Box::new(matches), Arc::clone(&stop)));
        Held { stop }
    }

    fn take(&self, point: &Point) -> Option<Arc<Stop>> {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let index = armed.iter().position(|(matches, _)| matches(point))?;
        Some(armed.remove(index).1)
    }
}

#[async_trait]
impl Gate for Breakpoints {
    async fn at(&self, point: &Point) -> Verdict {
        let Some(stop) = self.take(point) else {
            return Verdict::Continue;
        };
        *stop.point.lock().unwrap_or_else(PoisonError::into_inner) = Some(point.clone());
        stop.arrived.notify_one();
        loop {
            let decided = stop.decided.notified();
            if let Some(verdict) = stop.verdict() {
                return verdict;
            }
            decided.await;
        }
    }
}

impl Stop {
    fn verdict(&self) -> Option<Verdict> {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, verdict: Verdict) {
        let mut slot = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(verdict);
        drop(slot);
        self.decided.notify_one();
    }
}

impl Held {
    /// Waits until a line stands at this breakpoint. Give it a deadline of your own.
    pub async fn arrived(&self) -> Point {
        loop {
            let arrived = self.stop.arrived.notified();
            let point = self
                .stop
                .point
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if let Some(point) = point {
                return point;
            }
            arrived.await;
        }
    }

    /// Lets the line go on.
    pub fn release(self) {
        self.stop.decide(Verdict::Continue);
    }

    /// Ends the line where it stands.
    pub fn abandon(self) {
        self.stop.decide(Verdict::Abandon);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.decide(Verdict::Continue);
    }
}

impl fmt::Debug for Breakpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let armed = self
            .armed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        f.debug_struct("Breakpoints")
            .field("armed", &armed)
            .finish()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = self
            .stop
            .point
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        f.debug_struct("Held").field("point", &point).finish()
    }
}
