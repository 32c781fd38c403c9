//! SIGTERM and SIGINT: the first asks the process to finish what it does, the second ends it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Shells report a process that signal N ended as 128 + N.
const SIGNAL_EXIT: u8 = 128;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// The two signals that ask a process to end: Kubernetes sends SIGTERM, a terminal SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Signals ===

impl Signals {
    /// Catches both signals from now on.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Cancels `stop` at the first signal and ends at the second, with the exit code for it.
    pub async fn twice(mut self, stop: CancellationToken) -> u8 {
        let first = self.next().await;
        info!(
            signal = first,
            "stopping; a second signal ends the process at once"
        );
        stop.cancel();
        let second = self.next().await;
        warn!(signal = second, "ending at once: calls under way are cut");
        SIGNAL_EXIT.saturating_add(second)
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => SIGTERM,
            _ = self.interrupt.recv() => SIGINT,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Number, getpid, kill_process};
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn the_first_signal_stops_and_the_second_one_ends() {
        let stop = CancellationToken::new();
        let signals = Signals::install().unwrap();
        let ended = tokio::spawn(signals.twice(stop.clone()));
        yield_now().await;
        assert!(!stop.is_cancelled(), "nothing happened yet");

        kill_process(getpid(), Number::TERM).unwrap();
        stop.cancelled().await;
        assert!(!ended.is_finished(), "one signal lets calls finish");

        kill_process(getpid(), Number::INT).unwrap();
        assert_eq!(ended.await.unwrap(), 130);
    }
}
