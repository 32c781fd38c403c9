//! `rds-csi status`, `explain`, `trace` and `drain`: what an operator asks, and how the answer is shown.

pub mod explain;
pub mod jaeger;
pub mod status;
mod table;
pub mod trace;
mod words;

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::admin::client::{Address, Client};
use crate::admin::report::{Explanation, StatusReport};
use crate::cli::operator::{DrainArgs, LogLevelArgs, OriginArgs};
use crate::config::outside::OutsideConfig;
use crate::controller::outside::Outside;

const INTERRUPTED: &str = "interrupted before the answer came";

/// Where the answers come from. A replica knows most; who has none at hand reads the API and the RDS
/// himself.
#[derive(Debug)]
enum Origin {
    Replica(Client),
    Outside(Box<Outside>),
}

/// Asks a replica to drain, and waits until it has.
///
/// # Errors
/// If it is not there, or has not drained in time, or `stop` is cancelled before.
pub async fn drain(args: DrainArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let DrainArgs {
        control_socket,
        timeout,
    } = args;
    let replica = Client::new(Address::Socket(control_socket));
    let drained = stop.run_until_cancelled(replica.drain(timeout)).await;
    drained.context(INTERRUPTED)?.context("cannot drain")
}

/// Prints which log lines a replica writes, or changes that.
///
/// # Errors
/// If it is not there or refuses, or `stop` is cancelled before.
pub async fn log_level(args: LogLevelArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let LogLevelArgs {
        filter,
        admin,
        control_socket,
    } = args;
    let address = match (admin, control_socket) {
        (Some(port), _) => Address::Port(port),
        (None, Some(path)) => Address::Socket(path),
        (None, None) => anyhow::bail!("which replica? give --control-socket PATH"),
    };
    let replica = Client::new(address);
    let asked = async {
        match &filter {
            Some(filter) => replica.set_log_level(filter).await.map(|()| filter.clone()),
            None => replica.log_level().await,
        }
    };
    let level = stop.run_until_cancelled(asked).await.context(INTERRUPTED)?;
    let level = level.context("cannot tell or change the log level")?;
    print(&format!("{level}\n"))
}

// === impl Origin ===

impl Origin {
    async fn of(args: OriginArgs) -> anyhow::Result<Self> {
        let OriginArgs {
            admin,
            control_socket,
            outside,
        } = args;
        let address = match (admin, control_socket) {
            (Some(port), _) => Address::Port(port),
            (None, Some(path)) => Address::Socket(path),
            (None, None) => {
                let config = OutsideConfig::read(outside)?.context("which replica? give --admin HOST:PORT or, inside its pod, --control-socket PATH; or, where none answers, --rds-address and --cluster-id to read the Kubernetes API and the RDS")?;
                return Ok(Self::Outside(Box::new(Outside::new(config).await?)));
            }
        };
        Ok(Self::Replica(Client::new(address)))
    }

    async fn status(&self) -> anyhow::Result<StatusReport> {
        match self {
            Self::Replica(client) => client.status().await.context("cannot tell the status"),
            Self::Outside(outside) => outside.status().await.context("cannot tell the status"),
        }
    }

    async fn explain(&self, query: &str) -> anyhow::Result<Explanation> {
        let explanation = match self {
            Self::Replica(client) => client.explain(query).await.map_err(Into::into),
            Self::Outside(outside) => outside.explain(query).await,
        };
        explanation.with_context(|| format!("cannot explain {query}"))
    }
}

/// Prints a text as it is. Standard output may be a pipe that somebody has closed.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print")
}

/// Prints one line of JSON.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value).context("cannot write the answer as JSON")?;
    print(&format!("{text}\n"))
}
