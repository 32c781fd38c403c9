//! The RDS as the services see it: `ports::Backend` over RouterOS lines and the pool of sessions.

mod convert;
mod failure;
mod fencing;
mod listing;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, field};

use crate::domain::error::Error;
use crate::domain::file::{BackingFile, Directory};
use crate::domain::grant::FencingMode;
use crate::domain::id::VolumeId;
use crate::domain::leadership::Permit;
use crate::domain::names::Names;
use crate::domain::volume::{Entry, NewVolume, PoolSpace, Remains};
use crate::metrics::commands::Commands;
use crate::ports::{Backend, Clock};
use crate::rds::answer::Answer;
use crate::rds::command::Read;
use crate::rds::device::DeviceWatch;
use crate::rds::line::{
    CreateLine, Line, MAX_FILES, PublishLine, RemakeLine, RemoveEntryLine, ReopenLine, RevokeLine,
};
use crate::rds::reply::{self, MAX_REPLY, Raw};
use crate::rds::transport::{ExecOptions, Pool, PoolOptions, PoolState, Target};
use crate::rds::value::Nonce;

/// How a device is used.
#[derive(Debug)]
pub struct Options {
    /// Whom to connect to.
    pub target: Target,
    /// How many sessions, and how they come back.
    pub pool: PoolOptions,
    /// Longest time a line waits for a session.
    pub wait: Duration,
    /// Longest time the device may take for a line.
    pub run: Duration,
}

/// One RDS.
#[derive(Debug)]
pub struct RdsBackend {
    pool: Pool,
    device: Arc<DeviceWatch>,
    clock: Arc<dyn Clock>,
    /// Which names are written; found by the probe.
    mode: Mutex<FencingMode>,
    wait: Duration,
    run: Duration,
    commands: Commands,
}

impl RdsBackend {
    /// Starts to connect, and returns at once. Must be called within a tokio runtime.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        let Options {
            target,
            pool,
            wait,
            run,
        } = options;
        let device = Arc::new(DeviceWatch::new(Arc::clone(&clock)));
        let check = Arc::clone(&device);
        Self {
            pool: Pool::start(target, pool, check),
            device,
            clock,
            mode: Mutex::new(FencingMode::Pair),
            wait,
            run,
            commands: Commands::default(),
        }
    }

    /// What it counts.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// What the pool of sessions is doing.
    pub fn pool(&self) -> PoolState {
        self.pool.state()
    }

    fn mode(&self) -> FencingMode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one line and reads its reply, inside the span that every RouterOS command has.
    async fn send(&self, line: &Line, slot: &str) -> Result<Answer, Error> {
        let span = tracing::info_span!(
            "rds.command",
            rds.verb = line.verb(),
            rds.slot = slot,
            // These three are filled in by the connection that sends it; of the last attempt.
            rds.attempt = field::Empty,
            rds.connection = field::Empty,
            rds.round_trip_ms = field::Empty,
            rds.session = field::Empty,
            rds.request_bytes = field::Empty,
            rds.reply_bytes = field::Empty,
            error = field::Empty,
            outcome = field::Empty,
        );
        self.exchange(line).instrument(span).await
    }

    async fn exchange(&self, line: &Line) -> Result<Answer, Error> {
        let span = Span::current();
        let nonce = Nonce::new(self.clock.random());
        let text = line.render(&nonce).map_err(failure::unsendable)?;
        span.record("rds.request_bytes", signed(text.len()));
        let options = ExecOptions {
            label: line.verb(),
            wait: self.wait,
            run: self.run,
            reply_bytes: MAX_REPLY,
        };
        let began = Instant::now();
        let replied = self.pool.exec(&text, &options).await;
        let result = match &replied {
            Err(error) => Err(failure::no_reply(line, error)),
            Ok(reply) => {
                span.record("rds.session", field::display(reply.session));
                let bytes = reply.stdout.len() + reply.stderr.len();
                span.record("rds.reply_bytes", signed(bytes));
                let raw = Raw {
                    stdout: &reply.stdout,
                    stderr: &reply.stderr,
                    exit_status: reply.exit,
                };
                failure::judge(line, reply::read(line, &nonce, &raw))
            }
        };
        let outcome = failure::outcome(&result);
        span.record("outcome", outcome);
        self.commands.ended(line.verb(), outcome, began.elapsed());
        if let Err(error) = &result {
            span.record("error", error.context());
        }
        debug!(
            error = result.as_ref().err().map(field::display),
            "RouterOS command"
        );
        result
    }

    /// A mutation whose reply ends with the entry's read-back.
    async fn change(&self, line: &Line, id: &VolumeId) -> Result<Option<Entry>, Error> {
        let answer = self.send(line, id.as_str()).await?;
        convert::entry(line, &answer, 0)
    }
}

/// A count as spans have it, whose numbers are signed.
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[async_trait]
impl Backend for RdsBackend {
    fn incarnation(&self) -> u64 {
        self.device.incarnation()
    }

    async fn restarted(&self, known: u64) {
        self.device.restarted(known).await;
    }

    async fn probe_fencing(&self, _permit: Permit, base: &Directory) -> Result<FencingMode, Error> {
        let mode = fencing::probe(self, base).await?;
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        Ok(mode)
    }

    async fn read(&self, id: &VolumeId) -> Result<Option<Entry>, Error> {
        let line = listing::one(id, self.device.form())?;
        self.change(&line, id).await
    }

    async fn list(&self, show: &mut (dyn FnMut(Entry) + Send)) -> Result<(), Error> {
        listing::all(self, show).await
    }

    async fn list_part(
        &self,
        digit: char,
        show: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<(), Error> {
        listing::part(self, digit, show).await
    }

    async fn create(&self, _permit: Permit, new: &NewVolume) -> Result<Option<Entry>, Error> {
        let NewVolume {
            id,
            file,
            size,
            port,
            names,
        } = new;
        let line = Line::create(&CreateLine {
            slot: convert::slot(id)?,
            file: convert::file(file)?,
            size: *size,
            port: *port,
            subsystem: convert::name(names.subsystem.as_deref())?,
            host: convert::name(names.host.as_deref())?,
            form: self.device.form(),
        })
        .map_err(failure::unsendable)?;
        self.change(&line, id).await
    }

    async fn grant(
        &self,
        _permit: Permit,
        id: &VolumeId,
        free: &Names,
        pair: &Names,
    ) -> Result<Option<Entry>, Error> {
        let line = Line::publish(&PublishLine {
            slot: convert::slot(id)?,
            expected: convert::names(self.mode(), free)?,
            pair: convert::names(self.mode(), pair)?,
            form: self.device.form(),
        })
        .map_err(failure::unsendable)?;
        self.change(&line, id).await
    }

    async fn revoke(
        &self,
        _permit: Permit,
        id: &VolumeId,
        held: &Names,
        fresh: &Names,
    ) -> Result<Option<Entry>, Error> {
        let line = Line::revoke(&RevokeLine {
            slot: convert::slot(id)?,
            pair: convert::names(self.mode(), held)?,
            free: convert::names(self.mode(), fresh)?,
            form: self.device.form(),
        })
        .map_err(failure::unsendable)?;
        self.change(&line, id).await
    }

    async fn reopen(
        &self,
        _permit: Permit,
        id: &VolumeId,
        pair: &Names,
    ) -> Result<Option<Entry>, Error> {
        let line = Line::reopen(&ReopenLine {
            slot: convert::slot(id)?,
            pair: convert::names(self.mode(), pair)?,
            form: self.device.form(),
        });
        self.change(&line, id).await
    }

    async fn remake(
        &self,
        _permit: Permit,
        id: &VolumeId,
        free: &Names,
        pair: &Names,
    ) -> Result<Option<Entry>, Error> {
        let line = Line::remake(&RemakeLine {
            slot: convert::slot(id)?,
            expected: convert::names(self.mode(), free)?,
            pair: convert::names(self.mode(), pair)?,
            form: self.device.form(),
        })
        .map_err(failure::unsendable)?;
        self.change(&line, id).await
    }

    async fn grow(
        &self,
        _permit: Permit,
        id: &VolumeId,
        size: u64,
    ) -> Result<Option<Entry>, Error> {
        let line = Line::grow(&convert::slot(id)?, size, self.device.form())
            .map_err(failure::unsendable)?;
        self.change(&line, id).await
    }

    async fn remove(&self, _permit: Permit, id: &VolumeId, free: &Names) -> Result<Remains, Error> {
        let line = Line::remove_entry(&RemoveEntryLine {
            slot: convert::slot(id)?,
            names: convert::names(self.mode(), free)?,
            form: self.device.form(),
        });
        let answer = self.send(&line, id.as_str()).await?;
        convert::remains(&line, &answer, id)
    }

    async fn remains(&self, id: &VolumeId) -> Result<Remains, Error> {
        let slot = convert::slot(id)?;
        let reads = [Read::Disk(slot.clone()), Read::BackingFiles(slot)];
        let line =
            Line::read("read-remains", &reads, self.device.form()).map_err(failure::unsendable)?;
        let answer = self.send(&line, id.as_str()).await?;
        convert::remains(&line, &answer, id)
    }

    async fn remove_files(
        &self,
        _permit: Permit,
        id: &VolumeId,
        files: &[BackingFile],
    ) -> Result<Remains, Error> {
        let files = files
            .iter()
            .take(MAX_FILES)
            .map(convert::file)
            .collect::<Result<Vec<_>, _>>()?;
        let line = Line::remove_files(&convert::slot(id)?, &files, self.device.form());
        let answer = self.send(&line, id.as_str()).await?;
        convert::remains(&line, &answer, id)
    }

    async fn space(&self, directory: &Directory) -> Result<PoolSpace, Error> {
        listing::space(self, directory).await
    }
}
