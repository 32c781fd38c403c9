//! The TCP stream under an SSH session, with a switch: alive, cut, or silent as after a power loss.
//!
//! It also keeps keepalive requests unanswered. RouterOS ignores `keepalive@openssh.com`; the SSH
//! library answers every global request by itself and offers no hook. So the wire recognises the
//! pair by its shape (both ciphers the server offers have 16-byte tags, which fixes both lengths)
//! and keeps the answer back until something else is sent. An idle caller never sees it, and the
//! packet counters of the two ends stay equal.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::gauges::Gauges;
use crate::sim::transport::TransportFaults;

/// Bytes of an encrypted keepalive request: length 4, padded body 32 (type 1, name 4+21, flag 1,
/// padding), tag 16.
const KEEPALIVE_REQUEST: usize = 52;
/// The most bytes an encrypted answer of one byte can have: length 4, padded body 16, tag 16.
const BARE_ANSWER: usize = 36;

/// What the far end sees of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Closed without an SSH goodbye.
    Cut,
    /// Nothing arrives, nothing leaves, nothing is closed.
    Silent,
    /// Closed with a TCP reset: what a rebooted host answers to packets of a connection it has
    /// forgotten.
    Reset,
}

/// The switch of one connection.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<State>,
    reader: AtomicWaker,
    written: watch::Sender<usize>,
    logged_in: AtomicBool,
    /// The session called its handler since the last packet came in, so what it sends next is no
    /// bare answer.
    handled: AtomicBool,
}

impl Line {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::Open),
            reader: AtomicWaker::new(),
            written: watch::Sender::new(0),
            logged_in: AtomicBool::new(false),
            handled: AtomicBool::new(false),
        })
    }

    /// Ends the connection without an SSH goodbye.
    pub(super) fn cut(&self) {
        self.switch(State::Cut);
    }

    /// Lets the connection die silently.
    pub(super) fn silence(&self) {
        self.switch(State::Silent);
    }

    /// Ends a connection that died silently with a TCP reset.
    pub(super) fn reset(&self) {
        self.switch(State::Reset);
    }

    fn switch(&self, next: State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A cut connection stays cut: the far end has already seen it close.
        if *state != State::Cut {
            *state = next;
        }
        drop(state);
        self.reader.wake();
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session called its handler.
    pub(super) fn note_handled(&self) {
        self.handled.store(true, Ordering::Relaxed);
    }

    /// Login is over: from now on keepalive requests are told from other packets.
    pub(super) fn note_login(&self) {
        self.logged_in.store(true, Ordering::Relaxed);
    }

    /// Bytes handed to the socket, and a way to wait for more.
    pub(super) fn written(&self) -> watch::Receiver<usize> {
        self.written.subscribe()
    }
}

/// The stream the SSH session runs on.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    line: Arc<Line>,
    faults: TransportFaults,
    gauges: Gauges,
    /// Bytes read since anything was written, handled, or waited for: one packet, if it is a short
    /// one.
    packet: usize,
    kept_back: Vec<u8>,
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        line: Arc<Line>,
        faults: TransportFaults,
        gauges: Gauges,
    ) -> Self {
        Self {
            stream,
            line,
            faults,
            gauges,
            packet: 0,
            kept_back: Vec::new(),
        }
    }

    fn is_keepalive_answer(&self, bytes: usize) -> bool {
        self.packet == KEEPALIVE_REQUEST
            && bytes <= BARE_ANSWER
            && self.line.logged_in.load(Ordering::Relaxed)
            && !self.line.handled.load(Ordering::Relaxed)
            && !self.faults.transport().answer_keepalives
    }

    fn send_kept_back(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept_back.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.kept_back))?;
            self.kept_back.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }

    /// What a broken connection gives to whoever reads or writes.
    fn broken(&self, state: State) -> io::Error {
        if state == State::Reset
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a dead connection cannot be reset");
        }
        io::ErrorKind::ConnectionReset.into()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.reader.register(cx.waker());
        match self.line.state() {
            State::Open => {}
            State::Silent => return Poll::Pending,
            state @ (State::Cut | State::Reset) => return Poll::Ready(Err(self.broken(state))),
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            self.packet = 0;
        } else {
            if self.line.handled.swap(false, Ordering::Relaxed) {
                self.packet = 0;
            }
            self.packet += buffer.filled().len() - before;
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.line.state() {
            State::Open => {}
            State::Silent => return Poll::Ready(Ok(bytes.len())),
            state @ (State::Cut | State::Reset) => return Poll::Ready(Err(self.broken(state))),
        }
        if self.is_keepalive_answer(bytes.len()) {
            self.packet = 0;
            self.kept_back.extend_from_slice(bytes);
            self.gauges.change(|seen| seen.keepalives_unanswered += 1);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.send_kept_back(cx))?;
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.packet = 0;
        self.line.written.send_modify(|written| *written += sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.line.state() {
            State::Silent => Poll::Ready(Ok(())),
            State::Open | State::Cut | State::Reset => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}
