//! A replica that is asked: its two doors, and a source that says what a test wants.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use rds_csi::admin::report::{Attachments, Events, Explanation, Rds, Register, Role, StatusReport};
use rds_csi::admin::{Health, Source, routes, server};
use rds_csi::csi::socket::{Endpoint, bind};
use rds_csi::domain::error::{Error, Kind};
use rds_csi::metrics::exposition::Form;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SUBSYSTEM: &str = "nqn.2000-02.com.mikrotik:csi-01:7-1700000000-00ff00ff00ff00ff";

/// What a replica says.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) sick: AtomicBool,
    pub(crate) standby: AtomicBool,
    /// Whether a drain waits until it is let go.
    pub(crate) slow: AtomicBool,
    pub(crate) go: Notify,
    pub(crate) began: Notify,
    pub(crate) drains: AtomicUsize,
}

/// A served replica. Dropping it ends the servers.
pub(crate) struct Replica {
    pub(crate) source: Arc<Fake>,
    pub(crate) port: String,
    pub(crate) socket: PathBuf,
    pub(crate) stop: CancellationToken,
    pub(crate) servers: Vec<JoinHandle<std::io::Result<()>>>,
    _folder: TempDir,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Fake {
    fn on(flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Source for Fake {
    fn live(&self) -> Health {
        if Self::on(&self.sick) {
            Health::Bad("a task ended".to_owned())
        } else {
            Health::Good
        }
    }

    fn ready(&self) -> (Role, Health) {
        let role = if Self::on(&self.standby) {
            Role::Standby
        } else {
            Role::Leader
        };
        (role, self.live())
    }

    fn status(&self) -> StatusReport {
        StatusReport {
            driver: "rds.csi.srvlab.io".to_owned(),
            version: "0.1.0".to_owned(),
            instance: Some("controller-0".to_owned()),
            role: self.ready().0,
            ready: true,
            not_ready_because: None,
            holder: Some("controller-0_u_n".to_owned()),
            epoch: Some(7),
            lease_age_ms: Some(400),
            deadline_ms: None,
            fencing: None,
            rds: Rds {
                address: "10.0.0.1".to_owned(),
                reachable: Some(true),
                incarnation: Some(0),
                last_answer_ms: None,
            },
            shards: Some(Vec::new()),
            attachments: Some(Attachments::default()),
            drift: None,
            events: Some(Events::default()),
            last_decision: None,
        }
    }

    fn metrics(&self, form: Form) -> String {
        format!("{form:?}\n")
    }

    async fn explain(&self, query: &str) -> Result<Explanation, Error> {
        match query {
            "hang" => std::future::pending().await,
            "foreign" => Err(Error::new(Kind::NotFound, "no volume of ours: foreign")),
            "bad name" => Err(Error::invalid("no name: bad name")),
            "elsewhere" => Err(Error::new(Kind::NotLeader, "controller-1 leads; ask it")),
            "broken" => Err(Error::bug("a mistake")),
            _ => Ok(Explanation {
                volume: "csi-01".to_owned(),
                pvc: Some(query.to_owned()),
                holder: None,
                register: Some(Register {
                    state: "granted".to_owned(),
                    exported: true,
                    subsystem: Some(SUBSYSTEM.to_owned()),
                    host: None,
                }),
                claims: Vec::new(),
                last_decision: None,
                verdict: "Nobody asks.".to_owned(),
                advice: Vec::new(),
            }),
        }
    }

    async fn drain(&self) {
        self.began.notify_one();
        if Self::on(&self.slow) {
            self.go.notified().await;
        }
        self.drains.fetch_add(1, Ordering::SeqCst);
    }
}

impl Replica {
    pub(crate) async fn start() -> Self {
        let source = Arc::new(Fake::default());
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("control.sock");
        let endpoint: Endpoint = socket.to_str().unwrap().parse().unwrap();
        let control = bind(&endpoint).await.unwrap();
        let mode = socket.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "others could drain it");
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = public.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let servers = vec![
            tokio::spawn(server::serve(
                public,
                routes::public(source.clone()),
                stop.clone(),
            )),
            tokio::spawn(server::serve(
                control,
                routes::control(source.clone()),
                stop.clone(),
            )),
        ];
        Self {
            source,
            port,
            socket,
            stop,
            servers,
            _folder: folder,
        }
    }

    pub(crate) async fn public(&self, request: &str) -> Answer {
        exchange(TcpStream::connect(&self.port).await.unwrap(), request).await
    }

    pub(crate) async fn control(&self, request: &str) -> Answer {
        exchange(UnixStream::connect(&self.socket).await.unwrap(), request).await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

/// Sends method and path, and reads until the server hangs up.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    let text = format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    Answer {
        status: status.parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
