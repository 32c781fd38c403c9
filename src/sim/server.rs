//! The SSH server of the simulated appliance: real SSH, with RouterOS's manners and its accidents.

mod accounts;
mod gauges;
mod host_key;
mod reply;
mod session;
#[cfg(test)]
mod tests;
mod wire;

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::accounts::Accounts;
pub use self::gauges::Counters;
use self::gauges::Gauges;
use self::session::Session;
use self::wire::{Line, Wire};
use crate::sim::transport::TransportFaults;
use crate::sim::world::World;

/// What RouterOS says first. It names no version.
const BANNER: &str = "SSH-2.0-ROSSSH";
/// Connections the kernel keeps for us until they are accepted: far more than a handful of
/// controllers open.
const BACKLOG: u32 = 128;
/// Pause after a failed accept, so that running out of file descriptors does not take a processor
/// as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time for the exchange of identification lines. Local callers need milliseconds.
const HELLO_DEADLINE: Duration = Duration::from_secs(30);
/// Time for running lines and connections to notice that the server ends: one turn of the runtime
/// is enough.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Where the host key comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostKey {
    /// A fresh ed25519 key.
    #[default]
    Generated,
    /// A key file in OpenSSH form; created when missing.
    File(PathBuf),
}

/// Everything that connections and lines share.
#[derive(Debug)]
struct Shared {
    world: Arc<World>,
    accounts: Accounts,
    faults: TransportFaults,
    gauges: Gauges,
    tasks: TaskTracker,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    key: PrivateKey,
    lines: Vec<Arc<Line>>,
    /// The accept loop, absent while connects are refused.
    listening: Option<Listening>,
}

/// A running accept loop. It owns the listening socket: the kernel refuses connects once the task
/// has ended.
#[derive(Debug)]
struct Listening {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A running SSH server. Stops when told to; dropping it without that leaves its tasks to the
/// runtime.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Keeps the port ours while nobody listens on it.
    _reserved: TcpSocket,
}

impl Server {
    /// Binds and listens.
    ///
    /// # Errors
    /// The address cannot be bound, or the host key cannot be read or written.
    pub fn start(
        listen: SocketAddr,
        host_key: &HostKey,
        accounts: Accounts,
        faults: TransportFaults,
        world: Arc<World>,
    ) -> io::Result<Self> {
        let key = match host_key {
            HostKey::Generated => host_key::generate(),
            HostKey::File(file) => host_key::load_or_create(file)?,
        };
        let reserved = socket(listen)?;
        let address = reserved.local_addr()?;
        let server = Self {
            shared: Arc::new(Shared {
                world,
                accounts,
                faults,
                gauges: Gauges::default(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                state: Mutex::new(State {
                    key,
                    lines: Vec::new(),
                    listening: None,
                }),
            }),
            address,
            _reserved: reserved,
        };
        server.accept_connects()?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The public host key in force, as `ssh-ed25519 AAAA…`.
    pub fn host_key(&self) -> String {
        host_key::public_line(&self.shared.lock().key)
    }

    /// The fingerprint of the host key in force, as `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        host_key::fingerprint(&self.shared.lock().key)
    }

    /// Shows another host key to new connections, as `/ip ssh regenerate-host-key` does. A key file
    /// is not touched.
    pub fn rotate_host_key(&self) {
        self.shared.lock().key = host_key::generate();
    }

    /// What the server has seen so far.
    pub fn counters(&self) -> Counters {
        self.shared.gauges.snapshot()
    }

    /// The counts as they change.
    pub fn watch_counters(&self) -> watch::Receiver<Counters> {
        self.shared.gauges.watch()
    }

    /// Refuses connects from the moment this returns. Open connections stay.
    pub async fn refuse_connects(&self) {
        let listening = self.shared.lock().listening.take();
        if let Some(Listening { stop, task }) = listening {
            stop.cancel();
            if let Err(error) = task.await {
                tracing::warn!(%error, "the accept loop broke");
            }
        }
    }

    /// Listens again after [`Self::refuse_connects`] or [`Self::power_off`].
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn accept_connects(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.listening.is_some() {
            return Ok(());
        }
        let listener = socket(self.address)?.listen(BACKLOG)?;
        let stop = self.shared.stop.child_token();
        let accepting = accept(Arc::clone(&self.shared), listener, stop.clone());
        let task = self.shared.tasks.spawn(accepting);
        state.listening = Some(Listening { stop, task });
        Ok(())
    }

    /// Ends every connection without an SSH goodbye. Lines that have arrived still run.
    pub fn cut_connections(&self) {
        for line in self.shared.lock().lines.drain(..) {
            line.cut();
        }
    }

    /// The appliance loses power: connections go silent without being closed, connects are refused.
    pub async fn power_off(&self) {
        self.refuse_connects().await;
        for line in &self.shared.lock().lines {
            line.silence();
        }
    }

    /// The appliance is back: it listens, and answers the connections it has forgotten with a
    /// reset.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn power_on(&self) -> io::Result<()> {
        for line in self.shared.lock().lines.drain(..) {
            line.reset();
        }
        self.accept_connects()
    }

    /// Ends everything: connections are closed, lines that still run are abandoned.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.refuse_connects().await;
        self.cut_connections();
        self.shared.tasks.close();
        if tokio::time::timeout(STOP_DEADLINE, self.shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("tasks of the SSH server outlive it");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bound socket. With `SO_REUSEADDR` Linux lets others bind the port as long as none of them
/// listens, so that one socket can reserve it while the listening one comes and goes.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, listening: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = listening.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tracing::debug!(%peer, "connected");
                drop(shared.tasks.spawn(serve(Arc::clone(&shared), stream)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was lost before it was accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from accept to its end.
async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let limit = shared.faults.transport().max_connections;
    let mut admitted = false;
    shared.gauges.change(|seen| {
        admitted = limit == 0 || seen.connections < limit;
        if admitted {
            seen.connections += 1;
            seen.connections_total += 1;
            seen.connections_high = seen.connections_high.max(seen.connections);
        } else {
            seen.connections_refused += 1;
        }
    });
    if !admitted {
        return;
    }
    let line = Line::new();
    let config = {
        let mut state = shared.lock();
        state.lines.push(Arc::clone(&line));
        config(state.key.clone())
    };
    if let Err(error) = converse(&shared, config, stream, &line).await {
        tracing::debug!(%error, "connection ended");
    }
    shared
        .lock()
        .lines
        .retain(|other| !Arc::ptr_eq(other, &line));
    shared.gauges.change(|seen| seen.connections -= 1);
}

async fn converse(
    shared: &Arc<Shared>,
    config: Config,
    stream: TcpStream,
    line: &Arc<Line>,
) -> Result<(), russh::Error> {
    stream.set_nodelay(true)?;
    let (faults, gauges) = (shared.faults.clone(), shared.gauges.clone());
    let wire = Wire::new(stream, Arc::clone(line), faults, gauges);
    let session = Session::new(Arc::clone(shared), Arc::clone(line));
    let hello = russh::server::run_stream(Arc::new(config), wire, session);
    tokio::time::timeout(HELLO_DEADLINE, hello).await??.await
}

fn config(key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard(Cow::Borrowed(BANNER)),
        methods: MethodSet::from(
            &[
                MethodKind::None,
                MethodKind::PublicKey,
                MethodKind::Password,
            ][..],
        ),
        keys: vec![key],
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        nodelay: true,
        preferred: Preferred {
            // Only ciphers with 16-byte tags, and no compression: the wire knows packets by their
            // length.
            cipher: Cow::Borrowed(&[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305]),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::default()
        },
        ..Config::default()
    }
}
