//! How long a lease lasts, how often it is renewed, and why these numbers fit together.

use std::time::Duration;

use crate::domain::election::view::LeaseView;
use crate::domain::error::Error;

/// Under this, one slow write of the cluster's store (2 s happen) already costs the leadership.
const SHORTEST: Duration = Duration::from_secs(6);
/// Above this a crashed leader is missed for longer than sidecars and users wait. It also caps what
/// a Lease may ask of us, so that an absurd duration written by hand delays a take-over by a minute.
const LONGEST: Duration = Duration::from_mins(1);
/// Replicas that see a lease run out at the same moment try at different ones: 0.5 s apart at most,
/// a twentieth of the default lease.
const LARGEST_JITTER: Duration = Duration::from_millis(500);

/// The times of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    lease: Duration,
    renew_deadline: Duration,
    retry: Duration,
}

impl Default for Timing {
    /// 10 s, 6 s, 2 s: a crashed leader is replaced within 10.5 s, and two renewals may fail.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            renew_deadline: Duration::from_secs(6),
            retry: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// 15 s, 10 s, 2 s: for clusters whose API server is slow. Four renewals may fail.
    pub const fn conservative() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }

    /// The given times, if they fit together.
    ///
    /// # Errors
    /// `Invalid`, with the arithmetic.
    pub fn new(lease: Duration, renew_deadline: Duration, retry: Duration) -> Result<Self, Error> {
        if !(SHORTEST..=LONGEST).contains(&lease) {
            return Err(Error::invalid(format!(
                "lease {lease:?}: a lease lasts between {SHORTEST:?} and {LONGEST:?}, as one slow write of the cluster's store must not cost the leadership"
            )));
        }
        Self::unsafely(lease, renew_deadline, retry)
    }

    /// As [`Timing::new`], and however short: for tests that wait for real clocks.
    ///
    /// # Errors
    /// `Invalid`, with the arithmetic.
    pub fn unsafely(
        lease: Duration,
        renew_deadline: Duration,
        retry: Duration,
    ) -> Result<Self, Error> {
        let refuse = |why: String| {
            Err(Error::invalid(format!(
                "lease {lease:?}, renew deadline {renew_deadline:?}, retry {retry:?}: {why}"
            )))
        };
        if lease.subsec_nanos() != 0 {
            return refuse("Kubernetes keeps the duration of a lease in whole seconds".into());
        }
        if renew_deadline * 3 > lease * 2 {
            return refuse(format!(
                "3 x {renew_deadline:?} = {:?} is more than 2 x {lease:?} = {:?}; the last third of a lease is kept free, so that a leader has stopped before another may begin",
                renew_deadline * 3,
                lease * 2
            ));
        }
        if retry.is_zero() || retry * 3 > renew_deadline {
            return refuse(format!(
                "3 x {retry:?} = {:?} must be above zero and at most {renew_deadline:?}; one renewal may fail and the next one still gets its answer in time",
                retry * 3
            ));
        }
        Ok(Self {
            lease,
            renew_deadline,
            retry,
        })
    }

    /// A short lease in the proportions of the default, for tests that wait for real clocks.
    #[cfg(any(test, feature = "sim"))]
    pub fn shortened(lease: Duration) -> Self {
        Self {
            lease,
            renew_deadline: lease * 3 / 5,
            retry: lease / 5,
        }
    }

    /// Another deadline, whether it fits or not: for the test of the test.
    #[cfg(test)]
    pub(super) fn with_deadline(self, renew_deadline: Duration) -> Self {
        Self {
            renew_deadline,
            ..self
        }
    }

    /// For how long a record must stand still before its holder is given up.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// For how long after sending a successful renewal its sender leads.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// Between two renewals, and between two looks of a follower.
    pub fn retry(&self) -> Duration {
        self.retry
    }

    /// For one call on the Lease, which is a read and a write: half of what is left of the deadline
    /// when a renewal is due, so that one call may hang and the next still gets its answer in time.
    pub fn call(&self) -> Duration {
        self.renew_deadline.saturating_sub(self.retry) / 2
    }

    /// After a call that failed: a quarter of the retry time, 0.5 s by default, so that a server
    /// that refuses at once is asked at most 12 times before the deadline.
    pub(super) fn pause(&self) -> Duration {
        self.retry / 4
    }

    /// How long `view` must stand still. A replica with other settings may hold it, so the longer
    /// of both leases counts; what is absurd does not.
    pub(super) fn stand_still(&self, view: &LeaseView) -> Duration {
        let asked = view.lasts.unwrap_or_default().min(LONGEST);
        self.lease.max(asked)
    }

    /// A share of the largest jitter; `chance` is 64 random bits.
    pub(super) fn jitter(&self, chance: u64) -> Duration {
        let largest = LARGEST_JITTER.min(self.lease / 20);
        let share = u32::try_from(chance % 1000).unwrap_or_default();
        largest * share / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn times_that_do_not_fit_are_refused_with_the_arithmetic() {
        let rows = [
            (10_000, 6_000, 2_000, None),
            (15_000, 10_000, 2_000, None),
            (6_000, 4_000, 1_000, None),
            (60_000, 40_000, 10_000, None),
            (5_000, 3_000, 1_000, Some("between 6s and 60s")),
            (61_000, 6_000, 2_000, Some("between 6s and 60s")),
            (6_500, 4_000, 1_000, Some("whole seconds")),
            (
                10_000,
                7_000,
                2_000,
                Some("= 21s is more than 2 x 10s = 20s"),
            ),
            (10_000, 6_000, 2_001, Some("= 6.003s")),
            (10_000, 6_000, 0, Some("above zero")),
        ];
        for (lease, deadline, retry, refusal) in rows {
            let made = Timing::new(ms(lease), ms(deadline), ms(retry));
            match (made, refusal) {
                (Ok(timing), None) => {
                    let two_calls = timing.retry() + timing.call() * 2;
                    assert!(two_calls <= timing.renew_deadline(), "{timing:?}");
                }
                (Err(error), Some(part)) => {
                    assert!(error.context().contains(part), "{error}");
                }
                (made, _) => panic!("{lease} {deadline} {retry}: {made:?}"),
            }
        }
    }

    #[test]
    fn both_profiles_pass_their_own_rules() {
        for profile in [Timing::default(), Timing::conservative()] {
            let Timing {
                lease,
                renew_deadline,
                retry,
            } = profile;
            assert_eq!(Timing::new(lease, renew_deadline, retry).unwrap(), profile);
        }
    }
}
