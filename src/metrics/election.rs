//! The election: calls on the Lease, changes of leader, how long nobody served.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::catalog::{FAILOVER, LEASE_CALLS, SELF_FENCES, TRANSITIONS};
use super::kinds::{Count, Counts, Times, up_to_a_minute, up_to_minutes};
use super::{Group, Metrics};
use crate::domain::election::{Loss, Vacancy};
use crate::domain::leadership::BootTime;

/// Counts for one candidate. Clones count for the same.
#[derive(Debug, Clone)]
pub struct Election {
    calls: Times<2>,
    transitions: Count,
    fences: Counts<1>,
    failovers: Times<1>,
    /// The Lease that was last reached for: why it was free, and since when.
    vacancy: Arc<Mutex<Option<(Vacancy, BootTime)>>>,
}

// === impl Election ===

impl Election {
    /// A call on the Lease ended, or was given up.
    pub fn called(&self, call: &'static str, outcome: &'static str, took: Duration) {
        self.calls.add([call, outcome], took);
    }

    /// The Lease has another holder.
    pub fn changed_hands(&self) {
        self.transitions.add();
    }

    /// Leadership is over.
    pub fn lost(&self, loss: &Loss) {
        self.fences.add([reason(loss)]);
    }

    /// The RDS is out of reach: nothing is served before somebody reaches it.
    pub fn offered(&self) {
        self.fences.add([OFFERED]);
    }

    /// This replica reaches for the Lease, which is free for this reason since that moment.
    pub fn reaches(&self, vacancy: Vacancy, since: BootTime) {
        *self.lock() = Some((vacancy, since));
    }

    /// It serves calls: the first time after it took the Lease, that ends a failover.
    pub fn serves(&self, now: BootTime) {
        if let Some((vacancy, since)) = self.lock().take() {
            self.failovers.add([vacancy.as_str()], since.until(now));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Vacancy, BootTime)>> {
        self.vacancy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Election {
    fn default() -> Self {
        let reasons = ["expired", "taken", "superseded", OFFERED];
        Self {
            calls: Times::of(&LEASE_CALLS, up_to_a_minute),
            transitions: Count::of(&TRANSITIONS),
            fences: Counts::of(&SELF_FENCES, reasons.map(|reason| [reason])),
            failovers: Times::of(&FAILOVER, up_to_minutes),
            vacancy: Arc::default(),
        }
    }
}

impl Group for Election {
    fn enter(&self, metrics: &mut Metrics) {
        self.calls.enter(metrics);
        self.transitions.enter(metrics);
        self.fences.enter(metrics);
        self.failovers.enter(metrics);
    }
}

const OFFERED: &str = "offered";

fn reason(loss: &Loss) -> &'static str {
    match loss {
        Loss::Expired => "expired",
        Loss::Taken(_) => "taken",
        Loss::Superseded(_) => "superseded",
    }
}
