//! One connection of a pool: makes its session, serves lines, and makes the next one, for ever.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use rand::RngExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::rds::transport::connection::{Connection, SessionId};
use crate::rds::transport::error::{ConnectError, ExecError, NotSent, chain};
use crate::rds::transport::exec::Reply;
use crate::rds::transport::pool::Shared;
use crate::rds::transport::queue::Job;

/// A session that lived at least this long was a good one, and waiting starts from the beginning. One
/// that is lost sooner counts as another failure, so that a device which drops everybody at once is
/// not besieged.
const STABLE: Duration = Duration::from_secs(10);

/// How often the key files are looked at while waiting for the operator: three `stat` calls a second.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One connection of a pool.
pub(super) struct Slot {
    number: usize,
    shared: Arc<Shared>,
    failures: u32,
    sessions: u64,
}

/// How a session ended.
enum End {
    /// It was old and idle.
    Retired,
    /// It was lost or never came to be.
    Failed(Arc<ConnectError>),
}

impl From<ConnectError> for End {
    fn from(error: ConnectError) -> Self {
        Self::Failed(Arc::new(error))
    }
}

// === impl Slot ===

impl Slot {
    pub(super) fn new(number: usize, shared: Arc<Shared>) -> Self {
        Self {
            number,
            shared,
            failures: 0,
            sessions: 0,
        }
    }

    /// Never returns.
    pub(super) async fn keep_connected(mut self) {
        loop {
            let started = Instant::now();
            let before = self.sessions;
            // A panic of this code or of the check must not cost the pool a connection.
            let life = AssertUnwindSafe(Box::pin(self.live())).catch_unwind().await;
            let end = life.unwrap_or_else(|_| {
                let endpoint = self.shared.target.endpoint.clone();
                ConnectError::Panicked { endpoint }.into()
            });
            let End::Failed(error) = end else { continue };
            let served = self.sessions > before;
            if served && started.elapsed() >= STABLE {
                self.failures = 0;
            }
            self.failures = self.failures.saturating_add(1);
            self.wait_after(error, served).await;
        }
    }

    async fn wait_after(&self, error: Arc<ConnectError>, served: bool) {
        let needs_operator = error.needs_operator();
        let delay = self
            .shared
            .options
            .backoff
            .delay(self.failures, needs_operator);
        self.log(&error, delay);
        // Taken before the error is told, so that what is done about it counts as a change.
        let seen = self.stamps();
        self.shared.health.send_modify(|health| {
            health.failing |= !served;
            health.failures += u64::from(!served);
            health.last_error = Some(error);
        });
        if !needs_operator {
            return sleep(delay).await;
        }
        let until = Instant::now() + delay;
        while Instant::now() < until && self.stamps() == seen {
            sleep_until(until.min(Instant::now() + LOOK_AGAIN)).await;
        }
    }

    /// The states of the files that decide whether the device lets us in.
    fn stamps(&self) -> impl PartialEq + use<> {
        (
            self.shared.target.host_key.stamp(),
            self.shared.target.credentials.stamp(),
        )
    }

    fn log(&self, error: &ConnectError, retry_in: Duration) {
        let connection = self.number;
        let failures = self.failures;
        if error.needs_operator() {
            tracing::error!(connection, %error, ?retry_in, "device needs attention");
        } else if failures == 1 {
            tracing::warn!(connection, %error, ?retry_in, "no session with the device");
        } else {
            tracing::debug!(connection, failures, %error, ?retry_in, "still no session");
        }
    }

    /// One session, from connecting to its end.
    async fn live(&mut self) -> End {
        let session = self.next_session();
        let mut connection = match Connection::open(&self.shared.target, session).await {
            Ok(connection) => connection,
            Err(error) => return error.into(),
        };
        if let Err(error) = self.check(&mut connection).await {
            return error.into();
        }
        self.sessions += 1;
        let up = Up::new(&self.shared, session, self.sessions > 1);
        let address = connection.endpoint.to_string();
        tracing::debug!(connection = self.number, %session, address, "connected");
        let end = self.serve(&mut connection).await;
        match &end {
            End::Failed(error) => up.lost(error),
            End::Retired => drop(up),
        }
        tracing::debug!(connection = self.number, %session, address, "disconnected");
        if matches!(end, End::Retired) {
            connection.close().await;
        }
        end
    }

    fn next_session(&self) -> SessionId {
        let mut session = SessionId::default();
        self.shared.health.send_if_modified(|health| {
            health.sessions += 1;
            session = SessionId(health.sessions);
            // Nobody waits for this.
            false
        });
        session
    }

    async fn check(&self, connection: &mut Connection) -> Result<(), ConnectError> {
        let limit = self.shared.options.check_timeout;
        let endpoint = connection.endpoint.clone();
        match timeout(limit, self.shared.check.check(connection)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ConnectError::Check {
                endpoint,
                reason: chain(&*error),
            }),
            Err(_) => Err(ConnectError::Timeout {
                endpoint,
                step: "the check of the new session",
                after: limit,
            }),
        }
    }

    async fn serve(&self, connection: &mut Connection) -> End {
        // Spread, for sessions that were made together are not to be replaced together.
        let age = self
            .shared
            .options
            .max_age
            .mul_f64(rand::rng().random_range(0.8..=1.0));
        let retire = sleep(age);
        tokio::pin!(retire);
        loop {
            tokio::select! {
                biased;
                error = connection.gone() => return error.into(),
                () = &mut retire => return End::Retired,
                job = self.shared.queue.take() => {
                    if let Some(error) = self.run(connection, job).await {
                        return error.into();
                    }
                }
            }
        }
    }

    /// Runs one line. Returns why the connection is of no more use, if so.
    async fn run(&self, connection: &mut Connection, job: Job) -> Option<ConnectError> {
        if job.answer.is_closed() {
            return None;
        }
        let number = i64::try_from(self.number).unwrap_or(i64::MAX);
        let span = tracing::info_span!(
            parent: &job.parent,
            "rds.exec",
            rds.verb = job.options.label,
            rds.connection = number,
            rds.session = %connection.session,
            rds.attempt = i64::from(job.attempt),
            outcome = Empty,
        );
        let started = Instant::now();
        let busy = Busy::new(&self.shared);
        let outcome = connection
            .exec(&job.line, &job.options)
            .instrument(span.clone())
            .await;
        drop(busy);
        span.record("outcome", word(&outcome));
        job.parent.record("rds.connection", number);
        job.parent.record("rds.attempt", i64::from(job.attempt));
        job.parent.record(
            "rds.round_trip_ms",
            started.elapsed().as_secs_f64() * 1000.0,
        );
        let broken = (!connection.usable).then(|| ConnectError::Closed {
            endpoint: connection.endpoint.clone(),
            during: "running a line",
            reason: outcome.as_ref().err().map_or_else(
                || "it did not close the channel".to_owned(),
                ExecError::to_string,
            ),
        });
        self.deliver(job, outcome);
        broken
    }

    fn deliver(&self, job: Job, outcome: Result<Reply, ExecError>) {
        let again = matches!(
            &outcome,
            Err(ExecError::NotSent {
                reason: NotSent::Closed { .. }
                    | NotSent::ChannelTimeout { .. }
                    | NotSent::Refused { .. },
                ..
            })
        );
        let job = if again {
            self.shared.queue.put_back(job)
        } else {
            Some(job)
        };
        if let Some(job) = job
            && job.answer.send(outcome).is_err()
        {
            tracing::debug!(
                connection = self.number,
                "reply thrown away, its caller has gone"
            );
        }
    }
}

/// What came of an attempt.
fn word(outcome: &Result<Reply, ExecError>) -> &'static str {
    match outcome {
        Ok(_) => "replied",
        Err(ExecError::NotSent { .. }) => "unreachable",
        Err(ExecError::Unknown { .. }) => "unknown",
    }
}

/// Counts a connection as up while it lives.
struct Up<'a> {
    shared: &'a Shared,
    error: Option<Arc<ConnectError>>,
}

impl<'a> Up<'a> {
    fn new(shared: &'a Shared, session: SessionId, again: bool) -> Self {
        shared.health.send_modify(|health| {
            health.up += 1;
            health.failing = false;
            health.reconnects += u64::from(again);
            health.newest = health.newest.max(session);
            if health.up == shared.options.connections {
                health.last_error = None;
            }
        });
        Self {
            shared,
            error: None,
        }
    }

    /// The loss and its reason become visible as one, lest callers are told the reason before it.
    fn lost(mut self, error: &Arc<ConnectError>) {
        self.error = Some(Arc::clone(error));
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let error = self.error.take();
        self.shared.health.send_modify(|health| {
            health.up = health.up.saturating_sub(1);
            if error.is_some() {
                health.last_error = error;
            }
        });
    }
}

/// Counts a connection as busy while it lives.
struct Busy<'a>(&'a Shared);

impl<'a> Busy<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.busy.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
