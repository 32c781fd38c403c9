//! The TCP connection below a session, and how its death is noticed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::net::{TcpStream, lookup_host};

use crate::rds::transport::endpoint::Endpoint;
use crate::rds::transport::error::ConnectError;

/// Silence after which the kernel asks the other side whether it is still there. RouterOS does not
/// answer SSH's own keepalive requests, so the question is asked one layer below.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Time between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Questions without an answer after which the connection is dead.
const KEEPALIVE_PROBES: u32 = 2;
/// Longest time sent bytes may stay unacknowledged: the same 10 + 2 x 5 s, so that a device that lost
/// power is noticed as soon whether the connection was idle or busy. A device that reboots comes back
/// after one to two minutes.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects to the first address of `endpoint` that answers. The caller sets the deadline.
pub(super) async fn connect(endpoint: &Endpoint) -> Result<TcpStream, ConnectError> {
    let lookup = |source| ConnectError::Lookup {
        endpoint: endpoint.clone(),
        source,
    };
    let addresses: Vec<SocketAddr> = lookup_host((endpoint.host(), endpoint.port()))
        .await
        .map_err(lookup)?
        .collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                watch_over(&stream).map_err(|source| ConnectError::Unreachable {
                    endpoint: endpoint.clone(),
                    source,
                })?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(match last.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused {
            endpoint: endpoint.clone(),
        },
        io::ErrorKind::NotFound => lookup(last),
        _ => ConnectError::Unreachable {
            endpoint: endpoint.clone(),
            source: last,
        },
    })
}

fn watch_over(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    let milliseconds = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    Ok(())
}

/// Cuts a connection when dropped. The SSH library runs every session in a task of its own that is
/// not told to stop; with its socket cut it does, whatever it was waiting for.
#[derive(Debug)]
pub(super) struct Cutter(OwnedFd);

impl Cutter {
    pub(super) fn new(stream: &TcpStream) -> io::Result<Self> {
        stream.as_fd().try_clone_to_owned().map(Self)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        // Fails when the other side was faster, which is just as well.
        shutdown(&self.0, Shutdown::Both).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dead_peers_are_noticed_by_the_kernel() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = connect(&Endpoint::new("127.0.0.1", port)).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEPALIVE_IDLE);
        assert_eq!(
            u128::from(sockopt::tcp_user_timeout(&stream).unwrap()),
            USER_TIMEOUT.as_millis()
        );
        assert_eq!(
            USER_TIMEOUT,
            KEEPALIVE_IDLE + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL
        );
    }

    #[tokio::test]
    async fn refusal_and_unknown_name_are_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let refused = connect(&Endpoint::new("127.0.0.1", port))
            .await
            .unwrap_err();
        assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
        let unknown = connect(&Endpoint::new("no such host", port))
            .await
            .unwrap_err();
        assert!(matches!(unknown, ConnectError::Lookup { .. }), "{unknown}");
    }
}
