//! How many requests a second events may cost the Kubernetes API.

use std::time::Duration;

use tokio::time::Instant;

/// Lets requests through one interval apart, and some at once after a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    interval: Duration,
    /// How far ahead of its time a request may be.
    slack: Duration,
    /// When the next request would be due if all were evenly spaced.
    due: Option<Instant>,
}

// === impl Rate ===

impl Rate {
    /// One request per `interval`, and `burst` of them at once. A burst of 0 counts as 1.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            slack: interval.saturating_mul(burst.saturating_sub(1)),
            due: None,
        }
    }

    /// Takes the right to send one request now, or says how long to wait before asking again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let due = self.due.map_or(now, |due| due.max(now));
        let early = due.saturating_duration_since(now);
        if early > self.slack {
            return Err(early.saturating_sub(self.slack));
        }
        self.due = due.checked_add(self.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_burst_and_rate_get_through_in_any_time() {
        const INTERVAL: Duration = Duration::from_millis(100);
        let start = Instant::now();
        let mut rate = Rate::new(INTERVAL, 50);
        // Asked every millisecond for ten seconds: 50 at once, then one every 100 ms.
        let mut passed = Vec::new();
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            if rate.take(now).is_ok() {
                passed.push(now);
            }
            while rate.take(now).is_ok() {
                passed.push(now);
            }
        }
        assert_eq!(passed.len(), 50 + 99);
        for second in passed.windows(50 + 11) {
            let (first, last) = (second.first().unwrap(), second.last().unwrap());
            assert!(*last - *first > Duration::from_secs(1));
        }
    }

    #[test]
    fn the_wait_it_asks_for_is_just_enough() {
        let mut now = Instant::now();
        let mut rate = Rate::new(Duration::from_secs(1), 2);
        let mut waits = Vec::new();
        for _ in 0..5 {
            while let Err(wait) = rate.take(now) {
                waits.push(wait);
                now += wait;
            }
        }
        assert_eq!(waits, [Duration::from_secs(1); 3]);
    }

    #[test]
    fn a_pause_brings_back_the_burst_and_no_more() {
        let start = Instant::now();
        let mut rate = Rate::new(Duration::from_secs(1), 3);
        let mut at_once = |now| {
            std::iter::repeat_with(|| rate.take(now))
                .take_while(Result::is_ok)
                .count()
        };
        assert_eq!(at_once(start), 3);
        assert_eq!(at_once(start + Duration::from_secs(2)), 2);
        assert_eq!(at_once(start + Duration::from_hours(1)), 3);
    }
}
