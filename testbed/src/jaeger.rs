//! A Jaeger for one test: it keeps what it is sent in memory, on ports of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rds_csi::operator::jaeger::answer::Trace;
use rds_csi::operator::jaeger::{Jaeger as Client, JaegerError, Wanted};
use tokio::time::{interval, timeout};

use crate::control_plane::ports;
use crate::error::Error;
use crate::process::{Child, Program};
use crate::tools::Tools;
use crate::trouble::{Attempt, Trouble};

const TOOL: &str = "jaeger";
/// What the driver calls itself unless told otherwise.
const SERVICE: &str = "rds-csi";
/// It starts in a second on an idle machine.
const START_LIMIT: Duration = Duration::from_mins(2);
/// Between two questions, which cost it a millisecond.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// No test is older.
const SINCE: Duration = Duration::from_hours(1);
/// Between finding its ports and its listening on them somebody else may take one. Three times in a
/// row that is no accident.
const PORT_ATTEMPTS: u32 = 3;
/// What it says then.
const PORT_TAKEN: &str = "address already in use";

/// A running Jaeger. Dropping it kills it.
#[derive(Debug)]
pub struct Jaeger {
    child: Child,
    client: Client,
    address: String,
    collector: String,
}

/// Its executable, built on first use.
///
/// # Errors
/// [`Error::Unavailable`] where this machine cannot build it.
pub async fn executable() -> Result<PathBuf, Error> {
    let tools = Tools::find_all(vec![TOOL]).await?;
    Ok(tools.path(TOOL))
}

// === impl Jaeger ===

impl Jaeger {
    /// Starts one that logs into this folder; returns when it answers queries.
    ///
    /// # Errors
    /// It cannot be built, started, or does not get ready.
    pub async fn start(logs: &Path) -> Result<Self, Trouble> {
        let path = executable().await?;
        let mut attempt = 1;
        loop {
            match Self::start_on(ports::free()?, &path, logs).await {
                Err(Error::Ended { log, .. })
                    if log.contains(PORT_TAKEN) && attempt < PORT_ATTEMPTS =>
                {
                    attempt += 1;
                }
                started => return Ok(started?),
            }
        }
    }

    async fn start_on(ports: [u16; 7], path: &Path, logs: &Path) -> Result<Self, Error> {
        let [collector, query, ..] = ports;
        // It listens on all of these, wanted or not.
        let flags = [
            "collector.otlp.grpc",
            "query.http-server",
            "query.grpc-server",
            "collector.otlp.http",
            "collector.grpc-server",
            "collector.http-server",
            "admin.http",
        ];
        let flags = flags.iter().zip(ports);
        let flags = flags.map(|(server, port)| format!("--{server}.host-port=127.0.0.1:{port}"));
        let program = Program::new(TOOL, path, logs)
            .args(flags)
            .env("SPAN_STORAGE_TYPE", "memory");
        let address = format!("http://127.0.0.1:{query}");
        let client = Client::new(address.parse().expect("a port makes an address"));
        let this = Self {
            child: program.start()?,
            client: client.expect("an address with scheme and host makes a client"),
            address,
            collector: format!("http://127.0.0.1:{collector}"),
        };
        this.ready().await?;
        Ok(this)
    }

    async fn ready(&self) -> Result<(), Error> {
        let mut last = String::from("it was not asked");
        let asking = async {
            let mut ticks = interval(ASK_EVERY);
            loop {
                ticks.tick().await;
                self.child.check_running()?;
                match self.client.services().await {
                    Ok(_) => return Ok(()),
                    Err(error) => last = error.to_string(),
                }
            }
        };
        let asked = timeout(START_LIMIT, asking).await;
        asked.unwrap_or_else(|_| {
            Err(Error::Late {
                what: format!("the start of {TOOL}"),
                limit: START_LIMIT,
                last,
            })
        })
    }

    /// Where it answers queries: `http://ADDRESS:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it takes spans over OTLP/gRPC: `http://ADDRESS:PORT`.
    pub fn collector(&self) -> &str {
        &self.collector
    }

    /// The traces of such a call (`ControllerPublishVolume`) on a volume, once they are as wanted: spans
    /// arrive up to some seconds after they ended, and not all of a trace at once.
    ///
    /// # Errors
    /// They are not within `limit`.
    pub async fn calls(
        &self,
        call: &str,
        volume: &str,
        limit: Duration,
        is_it: impl Fn(&[Trace]) -> bool,
    ) -> Result<Vec<Trace>, Trouble> {
        let operation = format!("csi.v1.Controller/{call}");
        let wanted = Wanted {
            service: SERVICE,
            operation: &operation,
            volume,
            since: SINCE,
        };
        let what = || format!("see {call} of {volume} in Jaeger within {limit:?}");
        let mut last: Option<Result<Vec<Trace>, JaegerError>> = None;
        let look = async {
            let mut ticks = interval(ASK_EVERY);
            loop {
                ticks.tick().await;
                match self.client.search(wanted).await {
                    Ok(found) if is_it(&found) => return found,
                    other => last = Some(other),
                }
            }
        };
        let seen = timeout(limit, look).await;
        seen.map_err(|_| format!("the last answer was {last:?}\n{}", self.child.log_tail()))
            .attempt(what)
    }

    /// The trace of this id, if it has one.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn trace(&self, id: &str) -> Result<Option<Trace>, Trouble> {
        let found = self.client.trace(id).await;
        found.attempt(|| format!("ask Jaeger for trace {id}"))
    }
}
