//! The socket on which connections come in, and its end.
//!
//! A sidecar that has been connected ends when it is to connect again, and its next process waits until
//! somebody listens (csi-lib-utils: `connection.Connect`, `ExitOnConnectionLoss`). If that one still gets in to
//! a process that is about to end, it loses its connection, too, and ends a second time: which is a
//! back-off of 10 s. So nobody gets in from before the first connection is cut.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures::Stream;
use futures::stream::poll_fn;
use rustix::net::{Shutdown, shutdown};
use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

/// A listening socket that can be shut from everywhere. Clones are the same one.
#[derive(Clone)]
pub(super) struct Door(Arc<Inner>);

struct Inner {
    listener: UnixListener,
    is_shut: AtomicBool,
}

// === impl Door ===

impl Door {
    pub(super) fn of(listener: UnixListener) -> Self {
        Self(Arc::new(Inner {
            listener,
            is_shut: AtomicBool::new(false),
        }))
    }

    /// From now on, whoever connects is refused: the kernel does so for a listening socket that was shut
    /// down (Linux, `unix_stream_connect`), though it keeps its name until it is closed.
    pub(super) fn shut(&self) {
        if self.0.is_shut.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Err(error) = shutdown(&self.0.listener, Shutdown::Both) {
            warn!(%error, "the CSI socket cannot be shut; sidecars may restart twice");
        }
    }

    /// Who comes in. It goes on without anybody once it is shut.
    pub(super) fn connections(&self) -> impl Stream<Item = io::Result<UnixStream>> + use<> {
        let door = Arc::clone(&self.0);
        poll_fn(move |context| {
            if door.is_shut.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
            match door.listener.poll_accept(context) {
                // Being shut is an error to whoever waits in it.
                Poll::Ready(Err(_)) if door.is_shut.load(Ordering::SeqCst) => Poll::Pending,
                accepted => accepted.map(|accepted| Some(accepted.map(|(stream, _)| stream))),
            }
        })
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("is_shut", &self.0.is_shut)
            .finish_non_exhaustive()
    }
}
