//! How long to wait between two attempts to connect. It never gives up.

use std::time::Duration;

use rand::RngExt as _;

/// Waiting times between attempts to connect: the first is about `first`, each following one twice
/// as long up to about `longest`; after a failure that only an operator can mend, about `operator`.
/// Each is drawn between half and all of that, so that connections which failed together do not
/// come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// After the first failure. A device that only dropped an idle session is back at once.
    pub first: Duration,
    /// After many. A device takes one to two minutes to restart, so with ten seconds at most a tenth
    /// is added to that, and four connections cost it one TCP handshake every two seconds.
    pub longest: Duration,
    /// After a refused key or a wrong host key. Long enough not to look like somebody guessing
    /// passwords; a change of the key files ends it early.
    pub operator: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(10),
            operator: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row, of which the last one may need the operator.
    pub(super) fn delay(&self, failures: u32, needs_operator: bool) -> Duration {
        let whole = if needs_operator {
            self.operator
        } else {
            let doubled = self
                .first
                .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
            doubled.min(self.longest)
        };
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_never_reach_zero() {
        let backoff = Backoff::default();
        let check = |failures, operator, at_most: Duration| {
            for _ in 0..50 {
                let delay = backoff.delay(failures, operator);
                assert!(
                    delay <= at_most && delay >= at_most / 2,
                    "{failures} {delay:?}"
                );
            }
        };
        check(1, false, Duration::from_millis(250));
        check(2, false, Duration::from_millis(500));
        check(4, false, Duration::from_secs(2));
        check(7, false, Duration::from_secs(10));
        check(u32::MAX, false, Duration::from_secs(10));
        check(1, true, Duration::from_secs(60));
    }
}
