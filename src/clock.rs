//! The machine's own clock and random numbers, behind `ports::Clock`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::leadership::BootTime;
use crate::ports::Clock;

/// Time as Linux tells it, and random numbers seeded by Linux.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

// === impl SystemClock ===

impl Clock for SystemClock {
    /// CLOCK_BOOTTIME and not CLOCK_MONOTONIC, which stands still while the machine is suspended:
    /// a leader that slept would believe that its term still runs.
    fn boot(&self) -> BootTime {
        let now = clock_gettime(ClockId::Boottime);
        // Neither part is ever negative: the clock starts with the machine, and POSIX keeps
        // tv_nsec between 0 and 999 999 999.
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
        BootTime::new(Duration::new(seconds, nanoseconds))
    }

    /// 0 on a machine whose clock stands before 1970: it only labels names that people read.
    fn unix_seconds(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_is_what_the_kernel_says_and_never_falls() {
        let (first, second) = (SystemClock.boot(), SystemClock.boot());
        assert!(second >= first);
        // /proc/uptime counts from the same event, suspend included.
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let ours = BootTime::new(Duration::ZERO).until(first).as_secs_f64();
        assert!((uptime - ours).abs() < 5.0, "kernel {uptime}, ours {ours}");
    }

    #[test]
    fn two_random_numbers_differ() {
        assert_ne!(SystemClock.random(), SystemClock.random());
    }

    #[test]
    fn unix_time_is_later_than_the_day_this_was_written() {
        assert!(SystemClock.unix_seconds() > 1_700_000_000);
    }
}
