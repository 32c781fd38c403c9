//! The transport to the device: a pool of SSH sessions that each run one line at a time.
//!
//! Nothing here knows of volumes or of the RouterOS language. What the layer above gets for every
//! line is one of three answers, and the difference between the last two is the point of it all:
//!
//! * [`Reply`]: everything the device said until it ended the channel;
//! * [`ExecError::NotSent`]: the line never reached the device, so sending it again is harmless;
//! * [`ExecError::Unknown`]: it did or may have, and what it did has to be read back.

mod algorithms;
mod auth;
mod backoff;
mod connection;
mod credentials;
mod endpoint;
mod error;
mod exec;
mod hostkey;
mod known_hosts;
mod pool;
mod queue;
mod slot;
mod socket;
mod watched;

use std::time::Duration;

pub use algorithms::Algorithms;
pub use backoff::Backoff;
pub use connection::{Connection, SessionId};
pub use credentials::{Credentials, CredentialsError};
pub use endpoint::Endpoint;
pub use error::{ConnectError, ExecError, Lost, NotSent};
pub use exec::{ExecOptions, Reply};
pub use hostkey::{HostKeyPin, PinError};
pub use pool::{CheckError, NoCheck, OnConnect, Pool, PoolOptions, PoolState};
pub use watched::FileError;

/// Longest time one attempt to connect may take, from the name look-up to a session that is logged
/// in. A handshake takes the device 0.2 to 0.5 s, an RSA user key adds up to 1 s of waiting for the
/// device's list of signature algorithms; ten seconds leave a busy device a factor of six.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom to connect to, as whom, and how to be sure of it.
#[derive(Debug)]
pub struct Target {
    /// Where the device listens.
    pub endpoint: Endpoint,
    /// The user to log in as.
    pub user: String,
    /// What the device's host key has to be.
    pub host_key: HostKeyPin,
    /// What proves that we are that user.
    pub credentials: Credentials,
    /// Which cryptography is offered.
    pub algorithms: Algorithms,
    /// Longest time one attempt to connect may take; [`CONNECT_TIMEOUT`] unless there is a reason.
    pub connect_timeout: Duration,
}
