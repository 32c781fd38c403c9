//! A few sessions with one device, and the way callers get a line through one of them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::rds::transport::Target;
use crate::rds::transport::backoff::Backoff;
use crate::rds::transport::connection::{Connection, SessionId};
use crate::rds::transport::error::{ConnectError, ExecError, Lost, NotSent};
use crate::rds::transport::exec::{self, ExecOptions, Reply};
use crate::rds::transport::queue::Queue;
use crate::rds::transport::slot::Slot;

/// Connections of a pool unless configured otherwise. A line takes the device about half a second, so
/// four carry eight lines a second: a hundred volumes published after a power failure take 13 s.
/// More would not help, for the device works on its configuration one change at a time.
const CONNECTIONS: usize = 4;

/// How long callers wait for a session, once an attempt to make one has failed, before they are told
/// why there is none. Time for a second and a third attempt (after 0.25 and 0.5 s), and shorter than
/// anybody's patience.
const GRACE: Duration = Duration::from_secs(2);

/// Longest time the check of a new session may take: two or three lines at half a second, times ten.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);

/// Age at which an idle session is replaced. Both sides would negotiate new keys after an hour
/// (RFC 4253, section 9), which nobody has seen RouterOS do; a new session also takes up credentials
/// that were changed.
const MAX_AGE: Duration = Duration::from_mins(50);

/// What a check says to refuse a session.
pub type CheckError = Box<dyn Error + Send + Sync>;

/// What every new session has to pass before it serves anybody.
#[async_trait]
pub trait OnConnect: Send + Sync {
    /// Looks at the device through its new session, for example whether it is still the same one and
    /// has not been restarted. May run lines with [`Connection::exec`].
    ///
    /// # Errors
    /// Any error drops the session; it is made again after a wait.
    async fn check(&self, connection: &mut Connection) -> Result<(), CheckError>;
}

/// Lets every session pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCheck;

#[async_trait]
impl OnConnect for NoCheck {
    async fn check(&self, _connection: &mut Connection) -> Result<(), CheckError> {
        Ok(())
    }
}

/// How a pool behaves. The defaults are the constants of this module, each with its reason.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// How many connections.
    pub connections: usize,
    /// How long to wait between attempts to connect.
    pub backoff: Backoff,
    /// How long callers wait for a session once an attempt to make one has failed.
    pub grace: Duration,
    /// Longest time the check of a new session may take.
    pub check_timeout: Duration,
    /// Age at which an idle session is replaced.
    pub max_age: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            backoff: Backoff::default(),
            grace: GRACE,
            check_timeout: CHECK_TIMEOUT,
            max_age: MAX_AGE,
        }
    }
}

/// What a pool is doing at the moment.
#[derive(Debug, Clone)]
pub struct PoolState {
    /// Connections there should be.
    pub connections: usize,
    /// Connections with a session that passed its check.
    pub up: usize,
    /// Connections that run a line.
    pub busy: usize,
    /// Lines that wait for a connection.
    pub waiting: usize,
    /// Sessions that were made to replace one that was lost or worn out.
    pub reconnects: u64,
    /// Attempts to make a session that came to nothing.
    pub failures: u64,
    /// The newest session that passed its check.
    pub session: SessionId,
    /// Why a session ended or could not be made, the last time; `None` once all are up again.
    pub last_error: Option<Arc<ConnectError>>,
}

/// A pool of connections to one device. Dropping it cuts them.
pub struct Pool {
    shared: Arc<Shared>,
    // Aborts the tasks when dropped.
    _slots: JoinSet<()>,
}

/// What the connections of a pool share.
pub(super) struct Shared {
    pub(super) target: Arc<Target>,
    pub(super) options: PoolOptions,
    pub(super) check: Arc<dyn OnConnect>,
    pub(super) queue: Queue,
    pub(super) health: watch::Sender<Health>,
    pub(super) busy: AtomicUsize,
}

/// How the connections are; callers wait for changes of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    pub(super) up: usize,
    pub(super) sessions: u64,
    pub(super) reconnects: u64,
    pub(super) failures: u64,
    pub(super) newest: SessionId,
    pub(super) last_error: Option<Arc<ConnectError>>,
    /// Whether an attempt to connect failed since a session last came up. The loss of a session is no
    /// such failure: on a healthy device the next one is there in a moment.
    pub(super) failing: bool,
}

impl Health {
    /// Why there is no session, once that is more than a moment's gap.
    fn down(&self) -> Option<&Arc<ConnectError>> {
        self.last_error
            .as_ref()
            .filter(|_| self.up == 0 && self.failing)
    }

    /// Nothing is up, and waiting will not change that.
    fn hopeless(&self) -> bool {
        self.down().is_some_and(|error| error.needs_operator())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.state()).finish()
    }
}

// === impl Pool ===

impl Pool {
    /// Starts to connect and returns at once; a device that is down is waited for in the background.
    /// Must be called within a tokio runtime.
    pub fn start(target: Target, options: PoolOptions, check: Arc<dyn OnConnect>) -> Self {
        let connections = options.connections.max(1);
        let shared = Arc::new(Shared {
            target: Arc::new(target),
            options: PoolOptions {
                connections,
                ..options
            },
            check,
            queue: Queue::default(),
            health: watch::Sender::new(Health::default()),
            busy: AtomicUsize::new(0),
        });
        let mut slots = JoinSet::new();
        for number in 1..=connections {
            slots.spawn(Slot::new(number, Arc::clone(&shared)).keep_connected());
        }
        Self {
            shared,
            _slots: slots,
        }
    }

    /// Runs `line` on the first connection that is free. Callers are served in the order they came.
    ///
    /// # Guarantees
    /// A line is sent at most once. One that could not be sent is tried a second time.
    ///
    /// # Cancellation
    /// A line whose caller is gone is not sent. If it was already, its reply is read and thrown away
    /// before the connection serves anybody else.
    ///
    /// # Errors
    /// [`ExecError::NotSent`] when nothing reached the device, [`ExecError::Unknown`] otherwise. While
    /// no session can be made, the reason is told after a short grace and not after `options.wait`;
    /// at once when an operator is needed.
    pub async fn exec(&self, line: &str, options: &ExecOptions) -> Result<Reply, ExecError> {
        let not_sent = |reason| ExecError::NotSent {
            label: options.label,
            endpoint: self.shared.target.endpoint.clone(),
            reason,
        };
        exec::check(line).map_err(not_sent)?;
        let (ticket, mut outcome) = self.shared.queue.push(line, options).map_err(not_sent)?;
        let outcome = tokio::select! {
            biased;
            outcome = &mut outcome => outcome,
            reason = self.shared.unavailable(options.wait) => {
                if ticket.withdraw() {
                    return Err(not_sent(reason));
                }
                // The connection that has the line sees to its deadline.
                outcome.await
            }
        };
        outcome.unwrap_or_else(|_| {
            Err(ExecError::Unknown {
                label: options.label,
                endpoint: self.shared.target.endpoint.clone(),
                reason: Lost::Panicked,
            })
        })
    }

    /// What the pool is doing at the moment. Cheap.
    pub fn state(&self) -> PoolState {
        let health = self.shared.health.borrow().clone();
        PoolState {
            connections: self.shared.options.connections,
            up: health.up,
            busy: self.shared.busy.load(Ordering::Relaxed),
            waiting: self.shared.queue.len(),
            reconnects: health.reconnects,
            failures: health.failures,
            session: health.newest,
            last_error: health.last_error,
        }
    }

    /// Returns when at least `count` connections have a session. The caller sets the deadline.
    pub async fn until_up(&self, count: usize) {
        let mut health = self.shared.health.subscribe();
        // Fails only when the sender is gone, which `self` holds.
        health.wait_for(|health| health.up >= count).await.ok();
    }
}

// === impl Shared ===

impl Shared {
    /// Returns why a caller should wait no longer: `wait` is over, or there is no session.
    async fn unavailable(&self, wait: Duration) -> NotSent {
        tokio::select! {
            error = self.down() => NotSent::Down(error),
            () = sleep(wait) => {
                let health = self.health.borrow();
                match &health.last_error {
                    Some(error) if health.up == 0 => NotSent::Down(Arc::clone(error)),
                    Some(_) | None => NotSent::Busy {
                        waited: wait,
                        busy: self.busy.load(Ordering::Relaxed),
                        up: health.up,
                    },
                }
            }
        }
    }

    /// Returns why there is no session, once attempts to make one fail and the grace is over.
    async fn down(&self) -> Arc<ConnectError> {
        let mut health = self.health.subscribe();
        loop {
            // Neither of these waits can fail: `self` holds the sender.
            health.wait_for(|health| health.down().is_some()).await.ok();
            let settled = health.wait_for(|health| health.up > 0 || health.hopeless());
            timeout(self.options.grace, settled).await.ok();
            if let Some(error) = health.borrow().down() {
                return Arc::clone(error);
            }
        }
    }
}
