//! Which device is at the other end, and whether it is still in the same life.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::domain::leadership::BootTime;
use crate::ports::Clock;
use crate::rds::command::ReadForm;
use crate::rds::line::Line;
use crate::rds::reply::{self, Outcome, Raw};
use crate::rds::transport::{CheckError, Connection, ExecOptions, OnConnect};
use crate::rds::value::Nonce;
use crate::rds::version::Version;

/// How far a device's uptime may be from where it should be. RouterOS prints whole seconds, the
/// reply takes up to a few more, and a restart takes more than ten.
const TOLERANCE: Duration = Duration::from_secs(5);
/// The longest a device may take to say who it is: a dozen times what its slowest reads take.
const RUN: Duration = Duration::from_secs(5);
/// Three short lines and three sentinels; a kilobyte would do.
const REPLY_BYTES: usize = 16 << 10;

/// Compares every new session with the device that was met before.
#[derive(Debug)]
pub(super) struct DeviceWatch {
    known: Mutex<Option<Known>>,
    incarnation: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
struct Known {
    identity: String,
    version: Version,
    uptime: Duration,
    at: BootTime,
}

impl DeviceWatch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            known: Mutex::new(None),
            incarnation: watch::Sender::new(0),
            clock,
        }
    }

    /// Counts the restarts that were noticed or could not be ruled out.
    pub(super) fn incarnation(&self) -> u64 {
        *self.incarnation.borrow()
    }

    /// Waits until the count differs from `known`.
    pub(super) async fn restarted(&self, known: u64) {
        let mut count = self.incarnation.subscribe();
        // Fails only when the sender is gone, which `self` holds.
        count.wait_for(|count| *count != known).await.ok();
    }

    /// How to read: JSON where the version has it. Before the first session nobody knows; text is
    /// understood by every version.
    pub(super) fn form(&self) -> ReadForm {
        match &*self.known.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(known) if known.version.supports_serialize() => ReadForm::Json,
            Some(_) | None => ReadForm::Text,
        }
    }

    fn meet(&self, now: Known) {
        let mut held = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            None => info!(
                now.identity,
                now.version = ?now.version,
                now.uptime = ?now.uptime,
                "connected to the RDS"
            ),
            Some(before) if before.continues_in(&now) => {}
            Some(before) => {
                warn!(
                    before.identity,
                    before.uptime = ?before.uptime,
                    now.identity,
                    now.uptime = ?now.uptime,
                    "the RDS restarted, was replaced, or its uptime does not add up"
                );
                self.incarnation.send_modify(|count| *count += 1);
            }
        }
        *held = Some(now);
    }
}

impl Known {
    /// Whether `later` can be the same life of the same device.
    fn continues_in(&self, later: &Self) -> bool {
        let expected = self.uptime.saturating_add(self.at.until(later.at));
        self.identity == later.identity
            && self.version == later.version
            && expected.abs_diff(later.uptime) <= TOLERANCE
    }
}

#[async_trait]
impl OnConnect for DeviceWatch {
    async fn check(&self, connection: &mut Connection) -> Result<(), CheckError> {
        let line = Line::system();
        let nonce = Nonce::new(self.clock.random());
        let options = ExecOptions {
            label: "system",
            wait: RUN,
            run: RUN,
            reply_bytes: REPLY_BYTES,
        };
        let reply = connection.exec(&line.render(&nonce)?, &options).await?;
        let at = self.clock.boot();
        let raw = Raw {
            stdout: &reply.stdout,
            stderr: &reply.stderr,
            exit_status: reply.exit,
        };
        let answer = match reply::read(&line, &nonce, &raw) {
            Outcome::Complete(answer) => answer,
            Outcome::Refused(refused) => {
                return Err(format!("the RDS does not say who it is: {}", refused.text).into());
            }
            Outcome::Incomplete(_) => {
                return Err("the RDS broke off while it said who it is".into());
            }
        };
        self.meet(Known {
            version: answer.version(0)?,
            uptime: answer.uptime(1)?,
            identity: answer.identity(2)?,
            at,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(identity: &str, version: &str, uptime: u64, at: u64) -> Known {
        Known {
            identity: identity.to_owned(),
            version: Version::parse(version).unwrap(),
            uptime: Duration::from_secs(uptime),
            at: BootTime::new(Duration::from_secs(at)),
        }
    }

    #[test]
    fn only_an_uptime_that_went_on_is_the_same_life() {
        let before = known("rds", "7.20.1", 1000, 50);
        let rows = [
            (known("rds", "7.20.1", 1060, 110), true),
            (known("rds", "7.20.1", 1056, 110), true),
            (known("rds", "7.20.1", 1064, 110), true),
            (known("rds", "7.20.1", 40, 110), false),
            (known("rds", "7.20.1", 1050, 110), false),
            (known("rds", "7.20.1", 9000, 110), false),
            (known("other", "7.20.1", 1060, 110), false),
            (known("rds", "7.21", 1060, 110), false),
        ];
        for (later, same) in rows {
            assert_eq!(before.continues_in(&later), same, "{later:?}");
        }
    }
}
