//! The heartbeat of the runtime that serves: a leader that is stuck must not go on being renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tracing::{info, warn};

use crate::domain::election::{Failure, LeaseView, Version};
use crate::domain::error::{Error, Kind};
use crate::domain::leadership::{BootTime, Epoch};
use crate::ports::{Clock, LeaseStore};

/// Between two beats: six in the longest silence, so that a busy machine may swallow some.
const BEAT: Duration = Duration::from_millis(500);

/// The longest silence of a runtime that counts as alive. A leader whose runtime stops is replaced
/// when its Lease runs out: 3 s of silence, 2 s since a renewal, 6 s of right make 9 s at most until
/// it has stopped by itself, and its successor leads within 3 s + 10.5 s.
const SILENCE: Duration = Duration::from_secs(3);

/// When something was last seen to live; of the serving runtime, when it last ran a task. Clones share
/// it.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Nanoseconds of CLOCK_BOOTTIME.
    last: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

/// A [`LeaseStore`] that neither takes nor renews the Lease while the heart is silent. Giving it up
/// is always allowed.
#[derive(Debug)]
pub struct WhileAlive {
    inner: Arc<dyn LeaseStore>,
    heart: Heartbeat,
    silent: AtomicBool,
}

// === impl Heartbeat ===

impl Heartbeat {
    /// A heart that beats now, and from then on if [`Heartbeat::run`] runs.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let heart = Self {
            last: Arc::default(),
            clock,
        };
        heart.beat();
        heart
    }

    /// Beats for ever. Runs as a task of the serving runtime.
    pub async fn run(self) {
        loop {
            self.beat();
            tokio::time::sleep(BEAT).await;
        }
    }

    /// It lives at this moment.
    pub fn beat(&self) {
        let now = BootTime::new(Duration::ZERO).until(self.clock.boot());
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::SeqCst);
    }

    /// Since the last beat.
    pub fn quiet_for(&self) -> Duration {
        let last = BootTime::new(Duration::from_nanos(self.last.load(Ordering::SeqCst)));
        last.until(self.clock.boot())
    }

    /// For how long there was no beat, if that is too long.
    fn silence(&self) -> Option<Duration> {
        let silence = self.quiet_for();
        (silence >= SILENCE).then_some(silence)
    }
}

// === impl WhileAlive ===

impl WhileAlive {
    /// `inner`, for as long as `heart` beats.
    pub fn new(inner: Arc<dyn LeaseStore>, heart: Heartbeat) -> Self {
        Self {
            inner,
            heart,
            silent: AtomicBool::new(false),
        }
    }

    /// Says so once per silence: the election asks several times a second.
    fn alive(&self) -> Result<(), Failure> {
        let silence = self.heart.silence();
        let was_silent = self.silent.swap(silence.is_some(), Ordering::SeqCst);
        match silence {
            None => {
                if was_silent {
                    info!("the serving runtime runs again");
                }
                Ok(())
            }
            Some(silence) => {
                if !was_silent {
                    warn!(
                        ?silence,
                        "the serving runtime is stuck; the Lease is not renewed"
                    );
                }
                Err(Failure::Withheld(Error::new(
                    Kind::Unavailable,
                    format!("the serving runtime has been stuck for {silence:?}"),
                )))
            }
        }
    }
}

#[async_trait]
impl LeaseStore for WhileAlive {
    async fn get(&self) -> Result<Option<LeaseView>, Failure> {
        self.inner.get().await
    }

    async fn create(&self) -> Result<LeaseView, Failure> {
        self.inner.create().await
    }

    async fn acquire(&self, expecting: &Version, epoch: Epoch) -> Result<LeaseView, Failure> {
        self.alive()?;
        self.inner.acquire(expecting, epoch).await
    }

    async fn renew(&self, epoch: Epoch, offer: bool) -> Result<LeaseView, Failure> {
        self.alive()?;
        self.inner.renew(epoch, offer).await
    }

    async fn release(&self) -> Result<(), Failure> {
        self.inner.release().await
    }

    fn watch(&self) -> BoxStream<'static, Option<LeaseView>> {
        self.inner.watch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::election::testing::{FreeLease, HandClock};

    #[tokio::test]
    async fn a_silent_heart_stops_taking_and_renewing_but_not_giving_up() {
        let clock = Arc::new(HandClock::default());
        let heart = Heartbeat::new(clock.clone());
        let store = WhileAlive::new(Arc::new(FreeLease::default()), heart.clone());
        let version = store.create().await.unwrap().version;
        // milliseconds since the last beat -> whether the Lease is still touched
        for (silence, touches) in [(0, true), (2_999, true), (3_000, false), (60_000, false)] {
            heart.beat();
            clock.advance(Duration::from_millis(silence));
            let answers = [
                store.renew(Epoch::ZERO, false).await,
                store.renew(Epoch::ZERO, true).await,
                store.acquire(&version, Epoch::ZERO).await,
            ];
            for answer in answers {
                let withheld = matches!(answer, Err(Failure::Withheld(_)));
                assert_eq!(withheld, !touches, "after {silence} ms: {answer:?}");
            }
            assert!(store.release().await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_runs_beats_more_often_than_it_must() {
        let clock = Arc::new(HandClock::default());
        let heart = Heartbeat::new(clock.clone());
        tokio::spawn(heart.clone().run());
        for _ in 0..20 {
            clock.advance(BEAT);
            tokio::time::advance(BEAT).await;
            tokio::task::yield_now().await;
            assert_eq!(heart.silence(), None);
        }
        clock.advance(SILENCE);
        assert_eq!(heart.silence(), Some(SILENCE), "and no clock beats for it");
    }
}
