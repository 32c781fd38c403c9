//! Whether this process should go on, for kubelet: never a question of the RDS or of the API.

use std::time::Duration;

use crate::admin::Health;
use crate::csi::pulse;

/// The longest a turn of the election may take: a call on the Lease and a wait until the next, each
/// less than the longest lease that can be configured, a minute.
const ELECTION_SILENT: Duration = Duration::from_mins(2);

/// What a process can see of its own life.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Vital {
    /// It has been told to end, or has drained: its parts come to rest one after the other.
    pub(super) is_ending: bool,
    /// Its leadership ran out by time. It should have ended within a second.
    pub(super) ran_out: bool,
    /// Since the last turn of its election; none in a standalone controller.
    pub(super) election: Option<Duration>,
    /// Since its own server last answered.
    pub(super) calls: Duration,
}

// === impl Vital ===

impl Vital {
    /// A follower is live if its election goes on and its server answers; a leader also if what it
    /// holds has not run out.
    pub(super) fn health(self) -> Health {
        let Self {
            is_ending,
            ran_out,
            election,
            calls,
        } = self;
        if is_ending {
            return Health::Good;
        }
        if ran_out {
            let why = "leadership ran out, and this process has not ended";
            return Health::Bad(why.to_owned());
        }
        if let Some(silent) = election.filter(|silent| *silent >= ELECTION_SILENT) {
            return Health::Bad(format!("the election has stood still for {silent:.0?}"));
        }
        if calls >= pulse::SILENT {
            return Health::Bad(format!(
                "our own CSI server has not answered for {calls:.0?}"
            ));
        }
        Health::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_restart_can_cure_is_a_reason_for_one() {
        let well = Vital::default();
        let stuck = Some(ELECTION_SILENT);
        let rows = [
            (well, ""),
            (
                Vital {
                    election: Some(Duration::from_secs(119)),
                    calls: Duration::from_secs(44),
                    ..well
                },
                "",
            ),
            (
                Vital {
                    ran_out: true,
                    ..well
                },
                "leadership ran out",
            ),
            (
                Vital {
                    election: stuck,
                    ..well
                },
                "stood still for 120s",
            ),
            (
                Vital {
                    calls: pulse::SILENT,
                    ..well
                },
                "not answered for 45s",
            ),
            (
                Vital {
                    is_ending: true,
                    ran_out: true,
                    election: stuck,
                    calls: pulse::SILENT,
                },
                "",
            ),
        ];
        for (vital, expected) in rows {
            match vital.health() {
                Health::Good => assert_eq!(expected, "", "{vital:?}"),
                Health::Bad(why) => {
                    assert!(
                        !expected.is_empty() && why.contains(expected),
                        "{vital:?}: {why}"
                    );
                }
            }
        }
    }
}
