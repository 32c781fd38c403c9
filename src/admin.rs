//! What operators and probes ask a replica: `/livez`, `/readyz`, `/metrics`, `/status`, `/explain`,
//! `/log-level`, and on the control socket `/drain`.
//!
//! There are two doors. The TCP port has no login: it changes nothing, and the random part of names
//! on the RDS, which lets whoever knows it connect, is not shown there. The control socket belongs to
//! the driver's own user (mode 0600): it shows everything, drains, and changes the log
//! level.

pub mod client;
pub mod report;
pub mod routes;
pub mod server;
pub mod serving;

use std::fmt;

use async_trait::async_trait;

use self::report::{Explanation, Role, StatusReport};
use crate::domain::error::Error;
use crate::metrics::exposition::Form;

/// Where the answers come from.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// Whether this process should go on; if not, Kubernetes restarts it. Asked every few seconds:
    /// answered from memory, at once. An RDS or an API that is away is no reason to restart.
    fn live(&self) -> Health;

    /// What this replica is, and whether it does as that what it should. As [`Source::live`].
    fn ready(&self) -> (Role, Health);

    /// Everything about this replica, as it remembers it: asks neither the RDS nor the API.
    fn status(&self) -> StatusReport;

    /// What it counts and measures, for a scraper. As [`Source::live`].
    fn metrics(&self, form: Form) -> String;

    /// Everything about one volume, given by its id, or by `[namespace/]name` of its claim.
    ///
    /// # Errors
    /// `NotFound` for a volume that is not ours, `Invalid` for a text that names none, `NotLeader`
    /// from a replica that cannot say.
    async fn explain(&self, query: &str) -> Result<Explanation, Error>;

    /// Takes no new calls, finishes those under way, gives up the Lease. Done when it returns; what
    /// was drained before is done at once. It is carried on if the caller goes away.
    async fn drain(&self);
}

/// An answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Good,
    /// It is not, and why.
    Bad(String),
}
