//! A server to test, and the least SSH client that can see what it does.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg};
use tokio::time::timeout;

use crate::sim::server::{Accounts, Counters, HostKey, Server};
use crate::sim::transport::Transport;
use crate::sim::transport::TransportFaults;
use crate::sim::world::World;

/// Longest wait for something that must happen. Only a failing test waits it out.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// A server on a free port, its world, and what a caller needs to log in.
pub(super) struct Rig {
    pub(super) world: Arc<World>,
    pub(super) faults: TransportFaults,
    pub(super) server: Server,
    pub(super) key: PrivateKey,
}

/// Trusts any host key and remembers it.
pub(super) struct Trusting(pub(super) Arc<std::sync::Mutex<String>>);

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = key {
            *self.0.lock().unwrap() = key.to_openssh().unwrap();
        }
        Ok(true)
    }
}

/// All that came back on a channel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) stdout: String,
    pub(super) exit: Option<u32>,
    pub(super) pieces: usize,
    /// The channel was closed in order, not torn down with its connection.
    pub(super) closed: bool,
}

pub(super) fn new_key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

impl Rig {
    pub(super) fn start() -> Self {
        let key = new_key();
        let accounts = Accounts::default().with_key("csi", key.public_key().clone());
        Self::with(accounts, key)
    }

    pub(super) fn with(accounts: Accounts, key: PrivateKey) -> Self {
        let (world, faults) = (super::device(), TransportFaults::default());
        let server = Server::start(
            "127.0.0.1:0".parse().unwrap(),
            &HostKey::Generated,
            accounts,
            faults.clone(),
            Arc::clone(&world),
        )
        .unwrap();
        Self {
            world,
            faults,
            server,
            key,
        }
    }

    pub(super) fn transport(&self, change: impl FnOnce(&mut Transport)) {
        self.faults.change_transport(change);
    }

    pub(super) async fn connect(&self) -> Result<Handle<Trusting>, russh::Error> {
        self.connect_with(client::Config::default()).await
    }

    pub(super) async fn connect_with(
        &self,
        config: client::Config,
    ) -> Result<Handle<Trusting>, russh::Error> {
        let trusting = Trusting(Arc::default());
        let connect = client::connect(Arc::new(config), self.server.address(), trusting);
        timeout(SOON, connect).await.expect("the server answers")
    }

    /// Connects and logs in with the rig's key.
    pub(super) async fn login(&self) -> Handle<Trusting> {
        let mut caller = self.connect().await.unwrap();
        self.authenticate(&mut caller).await;
        caller
    }

    pub(super) async fn authenticate(&self, caller: &mut Handle<Trusting>) {
        let key = PrivateKeyWithHashAlg::new(Arc::new(self.key.clone()), None);
        let login = caller.authenticate_publickey("csi", key).await.unwrap();
        assert!(login.success());
    }

    /// Waits until the server has seen something.
    pub(super) async fn seen(&self, what: impl FnMut(&Counters) -> bool) {
        let mut counters = self.server.watch_counters();
        timeout(SOON, counters.wait_for(what))
            .await
            .expect("the server sees it")
            .unwrap();
    }
}

/// Opens a channel and sends the line.
pub(super) async fn send(
    caller: &Handle<Trusting>,
    line: &str,
) -> Result<Channel<client::Msg>, russh::Error> {
    let channel = caller.channel_open_session().await?;
    channel.exec(true, line).await?;
    Ok(channel)
}

/// Reads a channel to its end.
pub(super) async fn read(mut channel: Channel<client::Msg>) -> Reply {
    let mut reply = Reply::default();
    let mut bytes = Vec::new();
    while let Some(message) = timeout(SOON, channel.wait())
        .await
        .expect("a reply or an end")
    {
        match message {
            ChannelMsg::Data { data } => {
                bytes.extend_from_slice(&data);
                reply.pieces += 1;
            }
            ChannelMsg::ExitStatus { exit_status } => reply.exit = Some(exit_status),
            ChannelMsg::Close => reply.closed = true,
            _ => {}
        }
    }
    reply.stdout = String::from_utf8(bytes).unwrap();
    reply
}

/// Runs a line to its end.
pub(super) async fn exec(caller: &Handle<Trusting>, line: &str) -> Reply {
    read(send(caller, line).await.unwrap()).await
}
