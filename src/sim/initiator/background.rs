//! What a machine does by itself: notice lost sessions, reconnect, keep writing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Machine;

/// A workload that writes until this is dropped.
#[derive(Debug)]
pub struct Writer {
    _stop: DropGuard,
}

impl Machine {
    /// Notices lost sessions when they end and tries to reconnect at the machine's pace, until
    /// `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut events = self.world().subscribe();
        let mut reconnect = tokio::time::interval(self.reconnect_delay());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = reconnect.tick() => self.reconnect_now(),
                event = events.recv() => match event {
                    // One look finds all of them, also those that were missed.
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        events = events.resubscribe();
                        self.notice();
                    }
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Writes to a volume once in every `period`; a write without a device is simply left out.
    pub fn keep_writing(self: &Arc<Self>, target: &str, period: Duration) -> Writer {
        let stop = CancellationToken::new();
        let (machine, target, stopped) = (Arc::clone(self), target.to_owned(), stop.clone());
        drop(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(period);
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    _ = ticks.tick() => {
                        let written = machine.write(&target);
                        tracing::trace!(?written, "background write");
                    }
                }
            }
        }));
        Writer {
            _stop: stop.drop_guard(),
        }
    }
}
