//! The connection to the driver, and calls over it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tower::service_fn;

use crate::proto::csi::controller_client::ControllerClient;
use crate::proto::csi::identity_client::IdentityClient;

/// Between two attempts to find a socket; the real one backs off to a second.
const DIAL_PAUSE: Duration = Duration::from_millis(20);
/// DEADLINE_EXCEEDED, as it is on the wire.
const DEADLINE_EXCEEDED: i32 = 4;

/// Why a call did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The driver, or the connection to it, said no.
    #[error("rpc error: code = {code} desc = {message}")]
    Answered {
        /// The name of the gRPC code, as Go prints it.
        code: String,
        /// The number of the gRPC code.
        number: i32,
        /// What the driver said.
        message: String,
    },
    /// There was no answer in time.
    #[error("rpc error: code = DeadlineExceeded desc = no answer within {0:?}")]
    Late(Duration),
}

/// A connection that is made once. When it is lost, the next call finds that out by dialling: that
/// call is never sent, and whoever uses the connection is to end.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) identity: IdentityClient<Channel>,
    pub(super) controller: ControllerClient<Channel>,
    lost: CancellationToken,
}

// === impl Link ===

impl Link {
    /// Dials until somebody answers.
    pub(super) async fn open(socket: &std::path::Path) -> Self {
        let lost = CancellationToken::new();
        let dialled = Arc::new(AtomicBool::new(false));
        // The address is not used: the connector knows where to go.
        let endpoint = Endpoint::from_static("http://csi.sock");
        loop {
            let dial = Dial {
                socket: socket.to_owned(),
                dialled: Arc::clone(&dialled),
                lost: lost.clone(),
            };
            let connector = service_fn(move |_: Uri| dial.clone().dial());
            if let Ok(channel) = endpoint.connect_with_connector(connector).await {
                return Self {
                    identity: IdentityClient::new(channel.clone()),
                    controller: ControllerClient::new(channel),
                    lost,
                };
            }
            // A socket whose owner ends during the first greeting does not count as a connection.
            dialled.store(false, Ordering::Release);
            sleep(DIAL_PAUSE).await;
        }
    }

    /// Returns when a call has found the connection gone.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

/// What is needed to dial.
#[derive(Clone, Debug)]
struct Dial {
    socket: PathBuf,
    dialled: Arc<AtomicBool>,
    lost: CancellationToken,
}

// === impl Dial ===

impl Dial {
    async fn dial(self) -> io::Result<TokioIo<UnixStream>> {
        if self.dialled.load(Ordering::Acquire) {
            self.lost.cancel();
            // The process ends here, so the call that wanted the connection is never answered.
            return std::future::pending().await;
        }
        let stream = UnixStream::connect(&self.socket).await?;
        self.dialled.store(true, Ordering::Release);
        Ok(TokioIo::new(stream))
    }
}

/// A request that tells the driver how long there is.
pub(super) fn within<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// Waits for an answer for as long as the request said.
///
/// # Errors
/// [`CallError`].
pub(super) async fn answer<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    let start = Instant::now();
    match timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        // The client library keeps the deadline, too, and calls it something else.
        Ok(Err(_)) if start.elapsed() >= limit => Err(CallError::Late(limit)),
        Ok(Err(status)) => Err(CallError::Answered {
            code: format!("{:?}", status.code()),
            number: i32::from(status.code()),
            message: status.message().to_owned(),
        }),
        Err(_) => Err(CallError::Late(limit)),
    }
}

// === impl CallError ===

impl CallError {
    /// Whether time ran out, here or at the driver.
    pub(super) const fn is_late(&self) -> bool {
        match self {
            Self::Late(_) => true,
            Self::Answered { number, .. } => *number == DEADLINE_EXCEEDED,
        }
    }
}
