//! An SSH server that answers each line with the steps a test wrote for it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::{Algorithm, PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, MethodKind, MethodSet, Preferred};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::witness::Witness;

/// One thing the server does after it was given a line.
#[derive(Clone)]
pub(crate) enum Step {
    Out(Vec<u8>),
    Err(&'static str),
    Exit(u32),
    Eof,
    Close,
    /// Waits until the test adds a permit.
    Wait(Arc<Semaphore>),
    /// Says goodbye without having closed the channel.
    Disconnect,
    /// Refuses the command instead of running it.
    Refuse,
}

/// The steps of a well-behaved device that prints `text`.
pub(crate) fn prints(text: &str) -> Vec<Step> {
    vec![
        Step::Out(text.as_bytes().to_vec()),
        Step::Exit(0),
        Step::Eof,
        Step::Close,
    ]
}

/// Who is let in.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) password: Option<&'static str>,
    pub(crate) anybody: bool,
}

type Script = dyn Fn(&str) -> Vec<Step> + Send;

/// What the server does and what it has seen.
pub(crate) struct Behaviour {
    pub(crate) access: Mutex<Access>,
    script: Mutex<Box<Script>>,
    pub(crate) refuse_channels: AtomicUsize,
    /// The most channels that were open on one connection at a time.
    pub(crate) most_channels: AtomicUsize,
    pub(crate) log_ins: AtomicUsize,
    pub(crate) log_in_attempts: AtomicUsize,
    lines: watch::Sender<Vec<String>>,
}

/// The server and its connections; dropping it cuts them.
pub(crate) struct Device {
    pub(crate) behaviour: Arc<Behaviour>,
    address: SocketAddr,
    host_keys: Vec<PrivateKey>,
    preferred: Preferred,
    tasks: JoinSet<()>,
    sockets: Arc<Mutex<Vec<std::net::TcpStream>>>,
    _witness: Witness,
}

pub(crate) fn ed25519() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

/// An RSA key, made once: it takes a second in a debug build.
pub(crate) fn rsa() -> PrivateKey {
    static KEY: LazyLock<PrivateKey> =
        LazyLock::new(|| RsaKeypair::random(&mut rand::rng(), 2048).unwrap().into());
    KEY.clone()
}

pub(crate) fn line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

// === impl Device ===

impl Device {
    /// Lets anybody in and echoes every line.
    pub(crate) async fn start() -> Self {
        Self::with_keys(vec![ed25519()], Preferred::DEFAULT).await
    }

    pub(crate) async fn with_keys(host_keys: Vec<PrivateKey>, preferred: Preferred) -> Self {
        let behaviour = Arc::new(Behaviour {
            access: Mutex::new(Access {
                anybody: true,
                ..Access::default()
            }),
            script: Mutex::new(Box::new(prints)),
            refuse_channels: AtomicUsize::new(0),
            most_channels: AtomicUsize::new(0),
            log_ins: AtomicUsize::new(0),
            log_in_attempts: AtomicUsize::new(0),
            lines: watch::Sender::new(Vec::new()),
        });
        let mut device = Self {
            behaviour,
            address: "127.0.0.1:0".parse().unwrap(),
            host_keys,
            preferred,
            tasks: JoinSet::new(),
            sockets: Arc::default(),
            // The SSH library included, but not the server's part of it, which runs here.
            _witness: Witness::to("trace,russh::server=off"),
        };
        device.power_on().await;
        device
    }

    /// Listens, on the same port as before if there was one.
    pub(crate) async fn power_on(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let config = Arc::new(Config {
            keys: self.host_keys.clone(),
            methods: MethodSet::from(
                &[
                    MethodKind::None,
                    MethodKind::PublicKey,
                    MethodKind::Password,
                ][..],
            ),
            preferred: self.preferred.clone(),
            auth_rejection_time: std::time::Duration::ZERO,
            auth_rejection_time_initial: Some(std::time::Duration::ZERO),
            nodelay: true,
            ..Config::default()
        });
        let (behaviour, sockets) = (Arc::clone(&self.behaviour), Arc::clone(&self.sockets));
        self.tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let stream = keep_a_hold(stream, &sockets);
                let visitor = Visitor {
                    behaviour: Arc::clone(&behaviour),
                    channels: Arc::default(),
                };
                let config = Arc::clone(&config);
                sessions.spawn(async move {
                    if let Ok(session) = run_stream(config, stream, visitor).await {
                        session.await.ok();
                    }
                });
            }
        });
    }

    /// Stops listening and cuts every connection without a word.
    pub(crate) async fn power_off(&mut self) {
        self.tasks.shutdown().await;
        self.cut();
    }

    /// Comes back from a power cycle with another host key.
    pub(crate) async fn replace_host_key(&mut self, key: PrivateKey) {
        self.power_off().await;
        self.host_keys = vec![key];
        self.power_on().await;
    }

    /// Cuts every connection without a word.
    pub(crate) fn cut(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            socket.shutdown(std::net::Shutdown::Both).ok();
        }
    }

    /// Answers lines by `script` from now on.
    pub(crate) fn answer(&self, script: impl Fn(&str) -> Vec<Step> + Send + 'static) {
        *self.behaviour.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn host_key_line(&self) -> String {
        line(&self.host_keys[0])
    }

    /// Every line so far, in the order they came.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.behaviour.lines.borrow().clone()
    }

    /// Returns once `line` has arrived.
    pub(crate) async fn has_got(&self, line: &str) {
        let mut lines = self.behaviour.lines.subscribe();
        lines
            .wait_for(|lines| lines.iter().any(|each| each == line))
            .await
            .unwrap();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.cut();
    }
}

fn keep_a_hold(stream: TcpStream, sockets: &Mutex<Vec<std::net::TcpStream>>) -> TcpStream {
    let stream = stream.into_std().unwrap();
    sockets.lock().unwrap().push(stream.try_clone().unwrap());
    TcpStream::from_std(stream).unwrap()
}

/// One connection to the server.
struct Visitor {
    behaviour: Arc<Behaviour>,
    /// Open channels. A channel counts until the server closes it, which is when the client knows.
    channels: Arc<AtomicUsize>,
}

impl Visitor {
    fn verdict(&self, welcome: impl Fn(&Access) -> bool) -> Auth {
        self.behaviour
            .log_in_attempts
            .fetch_add(1, Ordering::SeqCst);
        if welcome(&self.behaviour.access.lock().unwrap()) {
            self.behaviour.log_ins.fetch_add(1, Ordering::SeqCst);
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(self.verdict(|access| access.anybody))
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(self.verdict(|access| access.password == Some(password)))
    }

    async fn auth_publickey(
        &mut self,
        _: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let offered = key.public_key.key_data();
        Ok(self.verdict(|access| access.keys.iter().any(|known| known.key_data() == offered)))
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let refusals = &self.behaviour.refuse_channels;
        let one_less = |left: usize| left.checked_sub(1);
        if refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
        {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let open = self.channels.fetch_add(1, Ordering::SeqCst) + 1;
        self.behaviour
            .most_channels
            .fetch_max(open, Ordering::SeqCst);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        line: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let line = String::from_utf8(line.to_vec()).unwrap();
        let steps = (self.behaviour.script.lock().unwrap())(&line);
        if matches!(steps.first(), Some(Step::Refuse)) {
            session.channel_failure(channel)?;
        } else {
            session.channel_success(channel)?;
        }
        self.behaviour.lines.send_modify(|lines| lines.push(line));
        // In a task of its own, so that a step that waits does not hold up the connection.
        tokio::spawn(perform(
            session.handle(),
            channel,
            steps,
            Arc::clone(&self.channels),
        ));
        Ok(())
    }
}

/// Takes the steps one by one; a client that has gone away ends it.
async fn perform(
    to: Handle,
    channel: ChannelId,
    steps: Vec<Step>,
    open: Arc<AtomicUsize>,
) -> Option<()> {
    for step in steps {
        match step {
            Step::Out(bytes) => to.data(channel, bytes).await.ok()?,
            Step::Err(text) => to.extended_data(channel, 1, text.as_bytes()).await.ok()?,
            Step::Exit(status) => to.exit_status_request(channel, status).await.ok()?,
            Step::Eof => to.eof(channel).await.ok()?,
            Step::Close => {
                open.fetch_sub(1, Ordering::SeqCst);
                to.close(channel).await.ok()?;
            }
            Step::Wait(gate) => gate.acquire().await.ok()?.forget(),
            Step::Disconnect => {
                let reason = Disconnect::ByApplication;
                to.disconnect(reason, "going down".to_owned(), "en".to_owned())
                    .await
                    .ok()?;
            }
            Step::Refuse => {}
        }
    }
    Some(())
}
