//! Serves the CSI services on one socket, and lets calls under way finish when asked to stop.

mod door;
mod fence;

use std::time::Duration;

use futures::StreamExt as _;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tonic::service::Routes;
use tonic::transport::{Error, Server};
use tracing::{info, warn};

use crate::csi::controller::Controller;
use crate::csi::identity::Identity;
use crate::csi::measure::Measure;
use crate::metrics::rpc::Calls;
use crate::proto::csi::controller_server::ControllerServer;
use crate::proto::csi::identity_server::IdentityServer;

use self::door::Door;
use self::fence::Fenced;
pub use self::fence::MayAnswer;

/// How long calls under way may go on after the process was asked to stop. external-attacher gives
/// its own calls 15 s and the other sidecars 10 s (their `--timeout`), so nobody waits longer for
/// an answer; half of the 30 s that Kubernetes gives a pod by default is left for everything else.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// Calls under way on one connection, of which each sidecar has one. external-provisioner makes
/// the most, 100 at once (`--worker-threads`); the rest is for its capacity calls and retries.
const MAX_CALLS: u32 = 128;
/// Largest request. CSI allows 4 KiB for a map and 128 bytes for a text, and the largest request
/// has six maps and a handful of capabilities: 1 MiB is over 30 times as much.
const MAX_REQUEST: usize = 1 << 20;
/// Largest answer: a ListVolumes entry has about 150 bytes and as much again for each node, so this
/// is a list of over 50 000 attached volumes without pages.
const MAX_ANSWER: usize = 16 << 20;

/// The services of a controller. Without `controller`, those of a plugin that only says who it is.
pub fn routes(identity: Identity, controller: Option<Controller>) -> Routes {
    let identity = IdentityServer::new(identity).max_decoding_message_size(MAX_REQUEST);
    let routes = Routes::new(identity);
    match controller {
        None => routes,
        Some(controller) => routes.add_service(
            ControllerServer::new(controller)
                .max_decoding_message_size(MAX_REQUEST)
                .max_encoding_message_size(MAX_ANSWER),
        ),
    }
}

/// Serves until `shutdown` ends, then takes no new calls and waits for those under way, at most
/// [`DRAIN_LIMIT`]. Connections end when `may` says that nothing may be answered; `calls` counts
/// what is. Before a connection ends in either way, new ones are refused.
///
/// # Errors
/// If the server cannot go on.
///
/// # Cancellation
/// Dropping the future stops accepting; connections go on until the runtime ends.
pub async fn serve(
    listener: UnixListener,
    routes: Routes,
    may: MayAnswer,
    calls: Calls,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let door = Door::of(listener);
    let (asked, drain_began) = oneshot::channel();
    let shutdown = async {
        shutdown.await;
        door.shut();
        info!("no new calls; waiting for those under way");
        // Nobody is left to be told only if the server has already ended.
        let _gone = asked.send(());
    };
    let (connections, inside) = (door.connections(), door.clone());
    let connections = connections.map(move |accepted| {
        accepted.map(|stream| Fenced::new(stream, may.clone(), inside.clone()))
    });
    let server = Server::builder()
        .max_concurrent_streams(MAX_CALLS)
        .layer(Measure(calls))
        .serve_with_incoming_shutdown(routes.prepare(), connections, shutdown);
    let cut = async {
        if drain_began.await.is_ok() {
            sleep(DRAIN_LIMIT).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = server => ended,
        () = cut => {
            warn!(limit = ?DRAIN_LIMIT, "calls are still under way and are cut; their callers ask again");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
