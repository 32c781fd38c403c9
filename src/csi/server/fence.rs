//! A connection over which nothing is said once nothing may be said any more.
//!
//! A success is checked against the deadline before it is answered, but between that check and the
//! kernel lie several tasks and buffers, and a process can stand still anywhere. So the last question
//! is asked where bytes leave the process. What is cut off there looks to its caller like the end of
//! the process, which is what follows within a second; so nobody gets in any more, either.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::door::Door;

/// Whether this process may still answer anything. Asked before every write to a socket.
#[derive(Clone)]
pub struct MayAnswer(Arc<dyn Fn() -> bool + Send + Sync>);

/// A connection that ends when it may not answer.
#[derive(Debug)]
pub(super) struct Fenced<S> {
    inner: S,
    may: MayAnswer,
    door: Door,
}

// === impl MayAnswer ===

impl MayAnswer {
    /// As `may` says, which must be cheap.
    pub fn when(may: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may))
    }
}

impl fmt::Debug for MayAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayAnswer").field(&(self.0)()).finish()
    }
}

// === impl Fenced ===

impl<S> Fenced<S> {
    pub(super) fn new(inner: S, may: MayAnswer, door: Door) -> Self {
        Self { inner, may, door }
    }

    fn check(&self) -> io::Result<()> {
        if (self.may.0)() {
            return Ok(());
        }
        // Before this connection ends: a sidecar takes its end for ours, and connects again.
        self.door.shut();
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "leadership ran out, and no answer leaves this process any more",
        ))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Fenced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Fenced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: Connected> Connected for Fenced<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    #[tokio::test]
    async fn once_nothing_may_be_answered_nothing_is_written_and_nobody_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let door = Door::of(UnixListener::bind(&socket).unwrap());
        let (near, mut far) = tokio::io::duplex(64);
        let may = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&may);
        let may_answer = MayAnswer::when(move || asked.load(Ordering::SeqCst));
        let mut fenced = Fenced::new(near, may_answer, door);
        fenced.write_all(b"in time").await.unwrap();
        UnixStream::connect(&socket).await.unwrap();
        may.store(false, Ordering::SeqCst);
        let error = fenced.write_all(b"late").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        // While the connection has not ended yet.
        let error = UnixStream::connect(&socket).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        drop(fenced);
        let mut arrived = String::new();
        far.read_to_string(&mut arrived).await.unwrap();
        assert_eq!(arrived, "in time");
    }
}
