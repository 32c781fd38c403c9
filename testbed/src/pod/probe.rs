//! What a kubelet asks a container over HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A probe's answer is a line; anybody who has no answer after a second is not ready.
const LIMIT: Duration = Duration::from_secs(1);

/// A port of this machine.
pub(super) fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The status and the body of `GET path` at an address, if there is an answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    };
    timeout(LIMIT, exchange).await.ok()?
}

/// The first word of the answer of a driver's `/readyz`, `leader` or `standby`, if it is ready.
pub(crate) async fn role(address: SocketAddr) -> Option<String> {
    let (status, body) = get(address, "/readyz").await?;
    let word = body.split([':', '\n']).next()?;
    (status == 200).then(|| word.to_owned())
}
