//! What the server has seen: counts and high-water marks that tests assert on and wait for.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A snapshot of the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections open now.
    pub connections: usize,
    /// The most connections open at a time.
    pub connections_high: usize,
    /// Connections accepted since the start.
    pub connections_total: u64,
    /// Connections closed at once because there were too many.
    pub connections_refused: u64,
    /// The most channels open at a time on one connection.
    pub channels_high: usize,
    /// Channels whose confirmation was held back or that were refused because there were too many.
    pub channels_over_limit: u64,
    /// Lines received.
    pub commands: u64,
    /// Lines run to their end.
    pub executed: u64,
    /// Keepalive requests left without an answer.
    pub keepalives_unanswered: u64,
    /// Logins refused.
    pub logins_refused: u64,
}

/// The counts, shared by everything that changes or watches them.
#[derive(Clone, Debug)]
pub(super) struct Gauges(watch::Sender<Counters>);

impl Default for Gauges {
    fn default() -> Self {
        Self(watch::Sender::new(Counters::default()))
    }
}

impl Gauges {
    pub(super) fn change(&self, change: impl FnOnce(&mut Counters)) {
        self.0.send_modify(change);
    }

    pub(super) fn snapshot(&self) -> Counters {
        self.0.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Counters> {
        self.0.subscribe()
    }
}
