//! A stand-in for the Kubernetes API: the verbs and kinds this driver uses, over real HTTP.
//!
//! It keeps the rules clients rely on: one growing resourceVersion, 409 on lost races, finalizers,
//! the `status` subresource, paging, watches with bookmarks and 410. What it does not have: other
//! kinds, namespaces as objects, discovery, strategic-merge and apply patches, admission, field
//! ownership, TLS. The suite in `tests/api_contract.rs` is what it promises.

mod access;
mod event;
pub mod faults;
mod kind;
mod object;
mod patch;
mod read;
mod refusal;
mod request;
mod seed;
mod selector;
mod serve;
mod store;
mod validate;
mod watch;
mod wire;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Config;
use kube::config::AuthInfo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::access::{Access, Account};
use self::faults::Faults;
use self::kind::Kind;
use self::request::Call;
pub use self::request::Verb;
pub use self::seed::SeedError;
use self::store::Store;
use self::wire::{Cutter, Door};

/// Changes remembered for each resource: three for each of 10 000 VolumeAttachments, so that a test
/// of that size can attach them all while a watch sleeps. Measured at 2 KiB each: 60 MiB at most.
pub const DEFAULT_HISTORY: usize = 30_000;

/// How often an idle watch is told how far it has come; an API server does it once a minute.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// A connection that has nothing to do ends at once; one that is just answering gets this long.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The port is on this machine, so that a connection is made at once or not at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// What to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who is let in.
    pub access: Access,
    /// Changes remembered for each resource. What is forgotten is answered with 410.
    pub history: usize,
    /// How often an idle watch gets a bookmark.
    pub bookmark_every: Duration,
}

/// A running API. Clones are the same API; it ends with [`KubeApi::shutdown`] or with the last clone.
#[derive(Clone, Debug)]
pub struct KubeApi {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    /// The version of the store, for watches to wait on.
    version: Sender<u64>,
    access: Access,
    faults: Faults,
    watches: Watches,
    counts: Mutex<BTreeMap<(Verb, String), u64>>,
    bookmark_every: Duration,
    stop: CancellationToken,
}

/// What cuts the watches under way, by resource.
#[derive(Debug, Default)]
struct Watches {
    tokens: Mutex<BTreeMap<&'static str, CancellationToken>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access: Access::default(),
            history: DEFAULT_HISTORY,
            bookmark_every: BOOKMARK_EVERY,
        }
    }
}

// === impl KubeApi ===

impl KubeApi {
    /// Listens and serves an empty cluster.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options {
            listen,
            access,
            history,
            bookmark_every,
        } = options;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let store = Store::new(history);
        let shared = Arc::new(Shared {
            version: Sender::new(store.version()),
            store: Mutex::new(store),
            access,
            faults: Faults::default(),
            watches: Watches::default(),
            counts: Mutex::default(),
            bookmark_every,
            stop: CancellationToken::new(),
        });
        let routes = axum::Router::new()
            .fallback(serve::answer)
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Cutter>();
        let serving = axum::serve(Door(listener), routes)
            .with_graceful_shutdown(shared.stop.clone().cancelled_owned());
        let task = Mutex::new(Some(tokio::spawn(async move { serving.await })));
        let inner = Arc::new(Inner {
            address,
            shared,
            task,
        });
        Ok(Self { inner })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// How a client reaches it. `client` becomes its bearer token, by which [`faults`] and
    /// [`Access`] know it. The client neither repeats refused requests by itself nor gives up
    /// waiting: callers set `read_timeout`.
    ///
    /// # Panics
    /// Never: the address of a socket is a valid authority.
    pub fn config(&self, client: &str) -> Config {
        let url = format!("http://{}", self.address());
        let mut config = Config::new(url.parse().expect("a socket address makes a valid URL"));
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.default_retry = false;
        config.auth_info = AuthInfo {
            token: Some(client.to_owned().into()),
            ..AuthInfo::default()
        };
        config
    }

    /// The same as the text of a kubeconfig file, for other processes.
    pub fn kubeconfig(&self, client: &str) -> String {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "sim",
            "clusters": [{"name": "sim", "cluster": {"server": format!("http://{}", self.address())}}],
            "users": [{"name": client, "user": {"token": client}}],
            "contexts": [{"name": "sim", "context": {"cluster": "sim", "user": client}}],
        });
        config.to_string()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.inner.shared.faults
    }

    /// The version of the last change.
    pub fn resource_version(&self) -> u64 {
        self.inner.shared.store().version()
    }

    /// How many requests of this verb for this resource have arrived, refused ones included.
    pub fn requests(&self, verb: Verb, resource: &str) -> u64 {
        let counts = self.inner.shared.counts();
        let count = counts.get(&(verb, resource.to_owned()));
        count.copied().unwrap_or_default()
    }

    /// Cuts the connections of all watches of a resource that are under way.
    pub fn cut_watches(&self, resource: &str) {
        self.inner.shared.watches.cut(resource);
    }

    /// Forgets the past, as the compaction of etcd does: versions older than now get 410.
    pub fn compact(&self) {
        self.inner.shared.store().compact();
    }

    /// Ends all watches and whatever stalls, answers what is being served and stops listening. The
    /// objects can still be looked at.
    pub async fn shutdown(&self) {
        self.inner.shared.stop.cancel();
        let task = self
            .inner
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(task) = task else { return };
        match timeout(STOP_LIMIT, task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the Kubernetes API ended with an error"),
            Ok(Err(error)) => tracing::warn!(%error, "the Kubernetes API broke"),
            Err(_) => tracing::warn!("a connection of the Kubernetes API did not end"),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

// === impl Shared ===

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<(Verb, String), u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, call: &Call) {
        let key = (call.verb, call.target.resource());
        *self.counts().entry(key).or_default() += 1;
    }

    fn news(&self) -> Receiver<u64> {
        self.version.subscribe()
    }

    /// Wakes the watches. Called with the store locked, so that versions are announced in order.
    fn announce(&self, store: &Store) {
        self.version.send_if_modified(|version| {
            let changed = *version != store.version();
            *version = store.version();
            changed
        });
    }
}

// === impl Watches ===

impl Watches {
    fn token(&self, kind: &Kind) -> CancellationToken {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.entry(kind.resource).or_default().clone()
    }

    fn cut(&self, resource: &str) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.remove(resource) {
            token.cancel();
        }
    }
}
