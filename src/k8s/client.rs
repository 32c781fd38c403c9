//! Clients of the Kubernetes API that give up in time.

use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use kube::client::ClientBuilder;
use kube::{Client, Config};

use crate::k8s::Error;
use crate::telemetry::propagate::Forward;

/// By this the audit log and the metrics of the API server tell our requests from those of the
/// sidecars, which come from the same ServiceAccount.
const AGENT: &str = concat!("rds-csi/", env!("CARGO_PKG_VERSION"));
/// Connecting is a round trip or three (TLS); a second covers a cluster across a continent.
const CONNECT: Duration = Duration::from_secs(1);
/// The server ends a watch after this, and we begin another: a connection that died silently shows
/// nothing for so long at most. Until then followers see a release by looking every retry time.
pub(super) const WATCH_SECONDS: u32 = 30;
/// A watch is silent for as long as nothing happens, and the library's own limit for silence is the
/// time of the watch and 15 s; this one is only there for the list before it.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 20);

/// How often `limit` fits into the longest silence of a connection. The library counts the time that
/// a connection lies idle, and goes on counting when a request is sent: with the limit itself, a
/// renewal would be sent on a connection that is just timing out. A limit is at least the time
/// between two renewals, so this leaves three of it between a renewal and its answer.
const IDLE: u32 = 4;

/// A client for calls whose callers wait for `limit` and then drop them, which ends the connection.
///
/// It shares its connections with nobody: a burst of other requests, or their back-off, must not
/// delay a renewal. It repeats nothing by itself, since only the election knows what is still worth
/// sending.
///
/// # Errors
/// [`Error::Client`] if the configuration names certificates or tokens that cannot be used.
pub fn for_calls(mut config: Config, limit: Duration) -> Result<Client, Error> {
    config.connect_timeout = Some(CONNECT.min(limit));
    config.read_timeout = Some(limit * IDLE);
    config.write_timeout = Some(limit);
    config.default_retry = false;
    client(config)
}

/// A client for watches, which may be silent for long.
///
/// # Errors
/// As [`for_calls`].
pub fn for_watches(mut config: Config) -> Result<Client, Error> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(WATCH_SILENCE);
    config.default_retry = false;
    client(config)
}

/// A client that says who it is, and names the trace it asks for, so that an API server that traces
/// goes on with it.
fn client(mut config: Config) -> Result<Client, Error> {
    let agent = (USER_AGENT, HeaderValue::from_static(AGENT));
    config.headers.push(agent);
    let builder = ClientBuilder::try_from(config).map_err(Error::Client)?;
    Ok(builder.with_layer(&Forward).build())
}
