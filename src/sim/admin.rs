//! The simulator's HTTP interface: look at it, break it, drive its machines. It has no login.

mod client;
mod routes;
#[cfg(test)]
mod tests;
pub mod types;

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::client::{AdminClient, ClientError};
use crate::sim::handle::Sim;

/// The running interface.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Admin {
    /// Listens and serves. Whoever can connect may do everything.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(listen: SocketAddr, sim: Sim) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(listener, routes::router(sim)).with_graceful_shutdown(stopped);
        let task = tokio::spawn(async move { serving.await });
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what has arrived and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the admin interface ended with an error"),
            Err(error) => tracing::warn!(%error, "the admin interface broke"),
        }
    }
}
