//! A way over the network that can be cut, and one that swallows what is sent on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What is read at once; no message of the driver is larger.
const CHUNK: usize = 16 << 10;

/// A TCP proxy to one address, on an address of its own.
#[derive(Debug)]
pub struct Way {
    address: SocketAddr,
    condition: watch::Sender<Condition>,
    task: JoinHandle<()>,
}

/// What happens to what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It arrives.
    Open,
    /// Connections end at once, new ones too: a firewall that says no.
    Cut,
    /// It is held until the way is open again, and nobody is told: a cable that was pulled.
    Hung,
}

// === impl Way ===

impl Way {
    /// An open way to an address.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (condition, seen) = watch::channel(Condition::Open);
        let task = tokio::spawn(serve(listener, target, seen));
        Ok(Self {
            address,
            condition,
            task,
        })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to what is sent from now on.
    pub fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, condition: watch::Receiver<Condition>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => {
                    connections.spawn(connection(near, target, condition.clone()));
                }
                Err(error) => tracing::debug!(%error, "a way did not accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(near: TcpStream, target: SocketAddr, condition: watch::Receiver<Condition>) {
    let mut watched = condition.clone();
    let carried = async {
        if is_open(condition.clone()).await.is_none() {
            return;
        }
        let Ok(far) = TcpStream::connect(target).await else {
            return;
        };
        // Both ends wait for each other's small messages.
        for stream in [&near, &far] {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection stays slow");
            }
        }
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tokio::join!(
            carry(near_read, far_write, condition.clone()),
            carry(far_read, near_write, condition)
        );
    };
    tokio::select! {
        () = carried => {}
        // An error means that the way itself is gone.
        _ = watched.wait_for(|condition| *condition == Condition::Cut) => {}
    }
}

/// Carries one direction to its end, which is held up like anything else.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    condition: watch::Receiver<Condition>,
) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if is_open(condition.clone()).await.is_none() {
            return;
        }
        let sent = match buffer.get(..read) {
            Some([]) | None => to
                .shutdown()
                .await
                .and(Err(io::ErrorKind::UnexpectedEof.into())),
            Some(bytes) => to.write_all(bytes).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Waits while nothing gets through; `None` if nothing ever will.
async fn is_open(mut condition: watch::Receiver<Condition>) -> Option<()> {
    let settled = condition.wait_for(|condition| *condition != Condition::Hung);
    let open = *settled.await.ok()? == Condition::Open;
    open.then_some(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Longest wait for something that must happen. Only a failing test waits it out.
    const SOON: Duration = Duration::from_secs(20);

    /// An echo behind a way, and a connection to it.
    async fn echo() -> (Way, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let way = Way::to(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut read, mut write) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            }
        });
        let stream = TcpStream::connect(way.address()).await.unwrap();
        (way, stream)
    }

    async fn answered(stream: &mut TcpStream) -> io::Result<u8> {
        timeout(SOON, stream.read_u8()).await.expect("it ends")
    }

    #[tokio::test]
    async fn what_is_held_arrives_when_the_way_is_open_again() {
        let (way, mut stream) = echo().await;
        stream.write_u8(1).await.unwrap();
        assert_eq!(answered(&mut stream).await.unwrap(), 1);
        way.set(Condition::Hung);
        stream.write_u8(2).await.unwrap();
        let early = timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(early.is_err(), "it came through");
        way.set(Condition::Open);
        assert_eq!(answered(&mut stream).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_there_and_what_comes_until_it_is_healed() {
        let (way, mut stream) = echo().await;
        way.set(Condition::Cut);
        answered(&mut stream).await.unwrap_err();
        let mut next = TcpStream::connect(way.address()).await.unwrap();
        answered(&mut next).await.unwrap_err();
        way.set(Condition::Open);
        let mut healed = TcpStream::connect(way.address()).await.unwrap();
        healed.write_u8(3).await.unwrap();
        assert_eq!(answered(&mut healed).await.unwrap(), 3);
    }
}
