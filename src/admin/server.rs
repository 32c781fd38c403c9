//! Serves the routes on a TCP port or a unix socket, so that no client can hold on to it for long.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::admin::routes::DRAIN;

/// Connections at once: two probes, a scraper, and a few people who watch; the rest waits to be
/// accepted.
const CONNECTIONS: usize = 32;
/// A client on any network in use has sent a request line and a few headers by then.
const HEAD: Duration = Duration::from_secs(5);
/// Every connection serves one request; this is the longest of them and the sending of its answer.
const LIFE: Duration = DRAIN.saturating_add(HEAD);
/// After the process was asked to stop, answers under way get this long. The longest of them says
/// that it has drained, and it is ready when the process is asked to stop.
const STOP: Duration = Duration::from_secs(1);

/// Serves until `stop` is cancelled.
///
/// # Errors
/// Never; a server that cannot accept logs and tries again.
///
/// # Cancellation
/// Dropping the future cuts all connections.
pub async fn serve<L>(mut listener: L, routes: Router, stop: CancellationToken) -> io::Result<()>
where
    L: Listener,
    L::Addr: Debug,
{
    if let Ok(address) = listener.local_addr() {
        info!(?address, "serving status");
    }
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await.0)
        };
        tokio::select! {
            () = stop.cancelled() => break,
            (permit, stream) = next => {
                // The semaphore is never closed.
                let Ok(permit) = permit else { break };
                connections.spawn(connection(stream, routes.clone(), permit));
            }
            Some(ended) = connections.join_next() => drop(ended),
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP, finish).await.is_err() {
        debug!("answers of the status server were cut");
    }
    Ok(())
}

async fn connection<S>(stream: S, routes: Router, _permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    match timeout(LIFE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a status connection ended with an error"),
        Err(_) => debug!("a status connection took too long and was cut"),
    }
}
