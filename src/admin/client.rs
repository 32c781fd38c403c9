//! Asks a replica, over its port or its control socket.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::header::HOST;
use http::{Method, Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use crate::admin::report::{Explanation, StatusReport};
use crate::admin::routes::{EXPLAIN, Problem};

/// Longer than the server takes to say that something takes too long.
const PATIENCE: Duration = EXPLAIN.saturating_add(Duration::from_secs(3));
/// The longest answer is a status in which each of 10 000 volumes is blocked, at about 400 bytes:
/// 4 MiB. Four times that is nothing that a replica says.
const MAX_ANSWER: usize = 16 << 20;

/// Where its log level is asked for and changed.
const LOG_LEVEL: &str = "/log-level";

/// Where a replica answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Its port, as `host:port`.
    Port(String),
    /// Its control socket.
    Socket(PathBuf),
}

/// One replica. Every question is a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    address: Address,
}

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("no replica answers at {address}: is the pod running, and the address right?")]
    Connect {
        /// Where.
        address: Address,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It hung up, or does not speak HTTP.
    #[error("{request} at {address}: the connection broke")]
    Broken {
        /// Method and path.
        request: String,
        /// Where.
        address: Address,
        /// What happened.
        #[source]
        source: hyper::Error,
    },
    /// No whole answer in time.
    #[error("{request} at {address}: no answer within {limit:?}")]
    Late {
        /// Method and path.
        request: String,
        /// Where.
        address: Address,
        /// For how long it was waited.
        limit: Duration,
    },
    /// It answered that it will not, or cannot.
    #[error("{address}: {error}")]
    Refused {
        /// Where.
        address: Address,
        /// The HTTP status.
        status: u16,
        /// What it said.
        error: String,
    },
    /// The answer is something else: another program may listen there.
    #[error("{request} at {address}: the answer is none of an rds-csi controller")]
    Answer {
        /// Method and path.
        request: String,
        /// Where.
        address: Address,
    },
}

// === impl Address ===

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => f.write_str(port),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

// === impl Client ===

impl Client {
    /// Of the replica at this address. Nothing is sent yet.
    pub fn new(address: Address) -> Self {
        Self { address }
    }

    /// Where it is asked.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// One client for each address behind a name: that of a headless Service stands for every replica.
    ///
    /// # Errors
    /// [`ClientError::Connect`] if there is no such name.
    pub async fn each(&self) -> Result<Vec<Self>, ClientError> {
        let Address::Port(port) = &self.address else {
            return Ok(vec![self.clone()]);
        };
        let found = lookup_host(port)
            .await
            .map_err(|source| ClientError::Connect {
                address: self.address.clone(),
                source,
            })?;
        let ports = found.map(|address| Address::Port(address.to_string()));
        Ok(ports.map(Self::new).collect())
    }

    /// Everything about the replica.
    ///
    /// # Errors
    /// [`ClientError`], as everywhere here.
    pub async fn status(&self) -> Result<StatusReport, ClientError> {
        self.read("/status").await
    }

    /// Everything about one volume.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain(&self, query: &str) -> Result<Explanation, ClientError> {
        self.read(&format!("/explain/{}", escaped(query))).await
    }

    /// Asks the replica to drain, and waits until it has, at most for `limit`.
    ///
    /// # Errors
    /// [`ClientError`]; after `Late` it goes on draining.
    pub async fn drain(&self, limit: Duration) -> Result<(), ClientError> {
        self.ask(&Method::POST, "/drain", limit).await.map(drop)
    }

    /// Which log lines it writes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_level(&self) -> Result<String, ClientError> {
        let answer = self.ask(&Method::GET, LOG_LEVEL, PATIENCE).await?;
        Ok(String::from_utf8_lossy(&answer).trim().to_owned())
    }

    /// Makes it write others, until it ends.
    ///
    /// # Errors
    /// [`ClientError`]; `Refused` by its port, and for a text that is no filter.
    pub async fn set_log_level(&self, filter: &str) -> Result<(), ClientError> {
        let body = filter.to_owned();
        let put = self.send(&Method::PUT, LOG_LEVEL, body, PATIENCE);
        put.await.map(drop)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.ask(&Method::GET, path, PATIENCE).await?;
        serde_json::from_slice(&answer).map_err(|_| ClientError::Answer {
            request: format!("GET {path}"),
            address: self.address.clone(),
        })
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        limit: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        self.send(method, path, String::new(), limit).await
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: String,
        limit: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        let late = || ClientError::Late {
            request: format!("{method} {path}"),
            address: self.address.clone(),
            limit,
        };
        let (status, answer) = timeout(limit, self.exchange(method, path, body))
            .await
            .map_err(|_| late())??;
        if status.is_success() {
            return Ok(answer);
        }
        match serde_json::from_slice(&answer) {
            Ok(Problem { error }) => Err(ClientError::Refused {
                address: self.address.clone(),
                status: status.as_u16(),
                error,
            }),
            Err(_) => Err(self.strange(method, path)),
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: String,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let failed = |source| ClientError::Connect {
            address: self.address.clone(),
            source,
        };
        match &self.address {
            Address::Port(port) => {
                let stream = TcpStream::connect(port).await.map_err(failed)?;
                self.over(stream, method, path, body).await
            }
            Address::Socket(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(failed)?;
                self.over(stream, method, path, body).await
            }
        }
    }

    async fn over<S>(
        &self,
        stream: S,
        method: &Method,
        path: &str,
        body: String,
    ) -> Result<(StatusCode, Vec<u8>), ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |source| ClientError::Broken {
            request: format!("{method} {path}"),
            address: self.address.clone(),
            source,
        };
        let host = match &self.address {
            Address::Port(port) => port.as_str(),
            Address::Socket(_) => "localhost",
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .body(body)
            .map_err(|_| self.strange(method, path))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let (parts, body) = response.into_parts();
            let body = to_bytes(Body::new(body), MAX_ANSWER).await;
            let body = body.map_err(|_| self.strange(method, path))?;
            Ok((parts.status, body.to_vec()))
        };
        // The connection moves bytes for the exchange, and is over with it at the latest.
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            _ended = connection => exchange.await,
        }
    }

    fn strange(&self, method: &Method, path: &str) -> ClientError {
        ClientError::Answer {
            request: format!("{method} {path}"),
            address: self.address.clone(),
        }
    }
}

/// Text as part of a path: names are plain, everything else is escaped byte by byte.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let bytes = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    bytes.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_characters_go_into_a_path_as_they_are() {
        let rows = [
            ("apps/data-0", "apps/data-0"),
            ("a b?c#d%e", "a%20b%3Fc%23d%25e"),
            ("\r\nX: y", "%0D%0AX%3A%20y"),
            ("é", "%C3%A9"),
        ];
        for (text, expected) in rows {
            assert_eq!(escaped(text), expected);
        }
    }
}
