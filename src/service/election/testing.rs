//! Stand-ins for the tests of the election's driver.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::domain::election::{Failure, Hold, HolderId, LeaseView, Version};
use crate::domain::leadership::{BootTime, Epoch};
use crate::ports::{Clock, LeaseStore};

/// A clock that a test moves.
#[derive(Debug, Default)]
pub(super) struct HandClock(Mutex<Duration>);

/// A clock that goes by itself, from the first look at it.
#[derive(Debug)]
pub(super) struct RealClock;

/// A Lease that nobody else wants, held by the one process that asks for it.
#[derive(Debug, Default)]
pub(super) struct FreeLease {
    panics: bool,
    /// When it was last written.
    written: Mutex<Option<BootTime>>,
}

// === impl HandClock ===

impl HandClock {
    pub(super) fn advance(&self, span: Duration) {
        *self.lock() += span;
    }

    fn lock(&self) -> MutexGuard<'_, Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for HandClock {
    fn boot(&self) -> BootTime {
        BootTime::new(*self.lock())
    }

    fn unix_seconds(&self) -> u64 {
        0
    }

    fn random(&self) -> u64 {
        0
    }
}

// === impl RealClock ===

impl Clock for RealClock {
    fn boot(&self) -> BootTime {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        BootTime::new(BEGIN.get_or_init(Instant::now).elapsed())
    }

    fn unix_seconds(&self) -> u64 {
        0
    }

    fn random(&self) -> u64 {
        0
    }
}

// === impl FreeLease ===

impl FreeLease {
    /// One whose client has a bug.
    pub(super) fn panicking() -> Self {
        Self {
            panics: true,
            ..Self::default()
        }
    }

    pub(super) fn written(&self) -> Option<BootTime> {
        *self.written.lock().unwrap()
    }

    fn view(hold: Hold) -> LeaseView {
        LeaseView {
            version: Version::new("1"),
            hold,
            renewed: String::new(),
            lasts: None,
            transitions: 0,
            epoch: Epoch::ZERO,
        }
    }

    fn write(&self) -> LeaseView {
        *self.written.lock().unwrap() = Some(RealClock.boot());
        Self::view(Hold::Held(HolderId::of_process("pod", "uid", 1).unwrap()))
    }
}

#[async_trait]
impl LeaseStore for FreeLease {
    async fn get(&self) -> Result<Option<LeaseView>, Failure> {
        assert!(!self.panics, "as told");
        Ok(Some(Self::view(Hold::Released)))
    }

    async fn create(&self) -> Result<LeaseView, Failure> {
        Ok(Self::view(Hold::Nobody))
    }

    async fn acquire(&self, _: &Version, _: Epoch) -> Result<LeaseView, Failure> {
        Ok(self.write())
    }

    async fn renew(&self, _: Epoch, _: bool) -> Result<LeaseView, Failure> {
        Ok(self.write())
    }

    async fn release(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn watch(&self) -> BoxStream<'static, Option<LeaseView>> {
        stream::pending().boxed()
    }
}
