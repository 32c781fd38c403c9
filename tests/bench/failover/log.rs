//! When a leader did what, as its log tells: the steps of a take-over are not seen from outside.

use std::time::Duration;

/// When a process went through the steps of its last take-over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// From holding the Lease to having read the RDS and announced the epoch.
    pub(crate) read: Duration,
    /// From there to having read and joined the claims.
    pub(crate) joined: Duration,
    /// From holding the Lease to serving.
    pub(crate) all: Duration,
}

// === impl Steps ===

impl Steps {
    /// From the end of a log; `None` if it does not tell of a take-over.
    pub(crate) fn read(log: &str) -> Option<Self> {
        let at = |step: &str| {
            let mut lines = log.lines().rev();
            time_of_day(lines.find(|line| line.contains(step))?)
        };
        let elected = at("election: elected;")?;
        let (leading, joined) = (at("election: leading")?, at("join: joined")?);
        Some(Self {
            read: since(elected, leading),
            joined: since(leading, joined),
            all: since(elected, at("lead: serving")?),
        })
    }
}

/// The time in `2026-11-21T15:37:54.123456Z …`.
fn time_of_day(line: &str) -> Option<Duration> {
    let (_, time) = line.split_whitespace().next()?.split_once('T')?;
    let mut parts = time.strip_suffix('Z')?.splitn(3, ':');
    let mut part = || parts.next()?.parse::<f64>().ok();
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Duration::try_from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds).ok()
}

/// Midnight may lie between them.
fn since(before: Duration, after: Duration) -> Duration {
    const DAY: Duration = Duration::from_hours(24);
    let after = if after < before { after + DAY } else { after };
    after.saturating_sub(before)
}
