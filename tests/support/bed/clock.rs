//! A clock that tests put forward by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rds_csi::clock::SystemClock;
use rds_csi::domain::leadership::BootTime;
use rds_csi::ports::Clock;

/// The machine's clock, put forward by hand. Its random numbers count up: nonces stay different from
/// each other, and a failed run can be repeated.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    ahead: Mutex<Duration>,
    drawn: AtomicU64,
}

// === impl TestClock ===

impl TestClock {
    pub(crate) fn advance(&self, span: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += span;
    }
}

impl Clock for TestClock {
    fn boot(&self) -> BootTime {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        SystemClock.boot().after(ahead)
    }

    fn unix_seconds(&self) -> u64 {
        SystemClock.unix_seconds()
    }

    fn random(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed) + 0x1000
    }
}
