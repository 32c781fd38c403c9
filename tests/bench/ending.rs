//! How a benchmark ends: with its report, at its deadline, or when it is asked to.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::report::Report;

/// Measures, for `limit` at most. However this ends, the child processes are dropped with the future,
/// and killed by that.
pub(crate) async fn measured(
    limit: Duration,
    measure: impl Future<Output = anyhow::Result<Report>>,
) -> anyhow::Result<Report> {
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::select! {
        measured = timeout(limit, measure) => {
            measured.with_context(|| format!("the run did not end within {limit:?}"))?
        }
        _ = terminated.recv() => bail!("ended by SIGTERM"),
        _ = interrupted.recv() => bail!("ended by SIGINT"),
    }
}
