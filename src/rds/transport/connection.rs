//! One session with the device: reached, proven to be the pinned one, and logged in.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle};
use russh::keys::PublicKeyOrCertificate;
use russh::{Disconnect, Error as SshError};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::rds::transport::Target;
use crate::rds::transport::auth::{self, Verdict};
use crate::rds::transport::credentials::Loaded;
use crate::rds::transport::endpoint::Endpoint;
use crate::rds::transport::error::{ConnectError, chain};
use crate::rds::transport::hostkey::{self, Pinned};
use crate::rds::transport::socket::{self, Cutter};

/// How long a farewell may take. It is a courtesy to the device's log; the socket is cut after it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Numbers the sessions of a pool in the order they were made, from 1. A line that was answered in a
/// later session than another may have met a device that was restarted in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SessionId(pub(super) u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A session that runs one line at a time, see [`Connection::exec`].
pub struct Connection {
    pub(super) handle: Handle<Client>,
    pub(super) ended: Ended,
    pub(super) endpoint: Endpoint,
    pub(super) session: SessionId,
    /// False while a line runs, and ever after one that did not end in good order.
    pub(super) usable: bool,
    /// Last, so that the handle goes first.
    _cutter: Cutter,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} session {})", self.endpoint, self.session)
    }
}

// === impl Connection ===

impl Connection {
    /// Which session this is.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Connects, checks the host key and logs in.
    pub(super) async fn open(
        target: &Arc<Target>,
        session: SessionId,
    ) -> Result<Self, ConnectError> {
        let steps = Steps::new(target);
        let (pinned, credentials) = steps.run("reading key files", read_files(target)).await??;
        let stream = steps
            .run("the TCP connection", socket::connect(&target.endpoint))
            .await??;
        let unreachable = |source| ConnectError::Unreachable {
            endpoint: target.endpoint.clone(),
            source,
        };
        let cutter = Cutter::new(&stream).map_err(unreachable)?;
        let ended = Ended::default();
        let client = Client {
            pinned,
            ended: ended.clone(),
        };
        let handle = shake_hands(&steps, stream, client).await?;
        let endpoint = target.endpoint.clone();
        let mut connection = Self {
            handle,
            ended,
            endpoint,
            session,
            usable: true,
            _cutter: cutter,
        };
        steps
            .run("logging in", connection.log_in(target, &credentials))
            .await??;
        Ok(connection)
    }

    async fn log_in(&mut self, target: &Target, credentials: &Loaded) -> Result<(), ConnectError> {
        let during = "logging in";
        let attempt = auth::log_in(
            &mut self.handle,
            &target.user,
            credentials,
            target.algorithms,
        );
        match attempt.await {
            Ok(Verdict::Accepted) => Ok(()),
            // The library answers "refused" for a connection that ended, too.
            Ok(Verdict::Refused { .. }) | Err(_) if self.handle.is_closed() => {
                Err(self.ended.error(&self.endpoint, during))
            }
            Ok(Verdict::Refused { tried, accepts }) => Err(ConnectError::AuthRejected {
                endpoint: self.endpoint.clone(),
                user: target.user.clone(),
                tried,
                accepts,
            }),
            Err(error) => Err(ConnectError::Protocol {
                endpoint: self.endpoint.clone(),
                during,
                reason: chain(&error),
            }),
        }
    }

    /// Returns when the connection is gone. Not to be called again after that.
    pub(super) async fn gone(&mut self) -> ConnectError {
        // The result is what the library told the handler before, see `Client::disconnected`.
        (&mut self.handle).await.ok();
        self.ended.error(&self.endpoint, "idle")
    }

    /// Says goodbye, then cuts the connection.
    pub(super) async fn close(self) {
        let farewell = self.handle.disconnect(Disconnect::ByApplication, "", "en");
        // Whether it was heard makes no difference.
        timeout(FAREWELL, farewell).await.ok();
    }
}

async fn shake_hands(
    steps: &Steps<'_>,
    stream: TcpStream,
    client: Client,
) -> Result<Handle<Client>, ConnectError> {
    let config =
        config(steps.target, &client.pinned).map_err(|error| steps.failed("preparing", error))?;
    let expected = client.pinned.expected();
    let shaking = client::connect_stream(Arc::new(config), stream, client);
    match steps.run("the SSH handshake", Box::pin(shaking)).await? {
        Ok(handle) => Ok(handle),
        Err(ClientError::Ssh(error)) => Err(steps.failed("shaking hands", error)),
        Err(ClientError::HostKey { presented }) => Err(ConnectError::HostKeyMismatch {
            endpoint: steps.target.endpoint.clone(),
            expected,
            presented,
        }),
    }
}

async fn read_files(target: &Arc<Target>) -> Result<(Pinned, Loaded), ConnectError> {
    let shared = Arc::clone(target);
    let reading = tokio::task::spawn_blocking(move || {
        let endpoint = &shared.endpoint;
        let pin = |error| ConnectError::Pin(error, endpoint.clone());
        let key = |error| ConnectError::Credentials(error, endpoint.clone());
        let pinned = shared.host_key.resolve(endpoint).map_err(pin)?;
        Ok((pinned, shared.credentials.load().map_err(key)?))
    });
    reading.await.unwrap_or_else(|_| {
        Err(ConnectError::Panicked {
            endpoint: target.endpoint.clone(),
        })
    })
}

fn config(target: &Target, pinned: &Pinned) -> Result<client::Config, SshError> {
    Ok(client::Config {
        preferred: target.algorithms.offer(pinned.offer(target.algorithms)),
        gex: target.algorithms.groups()?,
        // RouterOS does not answer keepalive requests, so the library would take a healthy session
        // for a dead one. The kernel asks instead, see `socket`.
        keepalive_interval: None,
        inactivity_timeout: None,
        nodelay: true,
        ..client::Config::default()
    })
}

/// The steps of connecting, which share one deadline.
struct Steps<'a> {
    target: &'a Target,
    deadline: Instant,
}

impl<'a> Steps<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            deadline: Instant::now() + target.connect_timeout,
        }
    }

    async fn run<T>(
        &self,
        step: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        timeout_at(self.deadline, work)
            .await
            .map_err(|_| ConnectError::Timeout {
                endpoint: self.target.endpoint.clone(),
                step,
                after: self.target.connect_timeout,
            })
    }

    fn failed(&self, during: &'static str, error: SshError) -> ConnectError {
        let endpoint = self.target.endpoint.clone();
        match error {
            SshError::NoCommonAlgo { kind, ours, theirs } => ConnectError::Algorithms {
                endpoint,
                kind: format!("{kind:?}"),
                ours: ours.join(" "),
                theirs: theirs.join(" "),
            },
            SshError::IO(error) => ConnectError::Closed {
                endpoint,
                during,
                reason: error.to_string(),
            },
            SshError::Disconnect | SshError::HUP => ConnectError::Closed {
                endpoint,
                during,
                reason: "it hung up".to_owned(),
            },
            other => ConnectError::Protocol {
                endpoint,
                during,
                reason: chain(&other),
            },
        }
    }
}

/// Why the connection ended, as far as the library told.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended(Arc<OnceLock<String>>);

impl Ended {
    pub(super) fn reason(&self) -> String {
        self.0
            .get()
            .cloned()
            .unwrap_or_else(|| "no reason known".to_owned())
    }

    fn error(&self, endpoint: &Endpoint, during: &'static str) -> ConnectError {
        ConnectError::Closed {
            endpoint: endpoint.clone(),
            during,
            reason: self.reason(),
        }
    }
}

/// Our side of the library's session task.
pub(super) struct Client {
    pinned: Pinned,
    ended: Ended,
}

/// What ends that task.
#[derive(Debug)]
pub(super) enum ClientError {
    Ssh(SshError),
    HostKey { presented: String },
}

impl From<SshError> for ClientError {
    fn from(error: SshError) -> Self {
        Self::Ssh(error)
    }
}

// === impl Client ===

impl client::Handler for Client {
    type Error = ClientError;

    async fn check_server_key(
        &mut self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<bool, ClientError> {
        let presented = match presented {
            PublicKeyOrCertificate::PublicKey { key, .. } if self.pinned.accepts(key) => {
                return Ok(true);
            }
            PublicKeyOrCertificate::PublicKey { key, .. } => hostkey::describe(key),
            PublicKeyOrCertificate::Certificate(_) => "a certificate".to_owned(),
        };
        Err(ClientError::HostKey { presented })
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<ClientError>,
    ) -> Result<(), ClientError> {
        let (text, result) = match reason {
            DisconnectReason::ReceivedDisconnect(farewell) => (
                format!("{:?} {}", farewell.reason_code, farewell.message),
                Ok(()),
            ),
            DisconnectReason::Error(ClientError::Ssh(error)) => {
                (error.to_string(), Err(ClientError::Ssh(error)))
            }
            DisconnectReason::Error(error @ ClientError::HostKey { .. }) => {
                ("the host key changed in mid-session".to_owned(), Err(error))
            }
        };
        // Only the first reason is of interest.
        self.ended.0.set(text).ok();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rds::transport::algorithms::Algorithms;
    use crate::rds::transport::credentials::Credentials;
    use crate::rds::transport::hostkey::HostKeyPin;

    #[test]
    fn session_lives_on_when_the_device_never_answers_keepalive_requests() {
        let target = Target {
            endpoint: Endpoint::new("rds.example", 22),
            user: "csi".to_owned(),
            host_key: HostKeyPin::insecure(),
            credentials: Credentials::new(None, None),
            algorithms: Algorithms::Modern,
            connect_timeout: FAREWELL,
        };
        let config = config(&target, &Pinned::Anything).unwrap();
        assert_eq!(config.keepalive_interval, None);
        assert_eq!(config.inactivity_timeout, None);
    }
}
