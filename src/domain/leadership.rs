//! Leadership as a value: who may change the RDS, under which epoch, until when.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::error::{Error, Kind};

/// A moment on CLOCK_BOOTTIME: it goes on during suspend, so a machine that slept cannot believe
/// that its deadline is still ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(Duration);

impl BootTime {
    /// The moment `since_boot` after the machine started.
    pub const fn new(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The moment `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// How long until `later`; zero if that has passed.
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }

    /// Nanoseconds since the machine started: they reach for 584 years.
    fn nanoseconds(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Counts terms of leadership; only grows. It has no `Display` and no arithmetic beyond `next`, so
/// that it cannot slip into a message or a comparison as a bare number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Before any term.
    pub const ZERO: Self = Self(0);

    /// Reads an epoch out of a name on the RDS or a Lease.
    pub const fn from_record(value: u64) -> Self {
        Self(value)
    }

    /// The digits that go into names on the RDS.
    pub const fn digits(self) -> u64 {
        self.0
    }

    /// The next term.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// Proof that this process may change the RDS, at an epoch, until a deadline. Not `Clone`: whoever
/// ends a term takes the means to act away with it.
#[derive(Debug)]
pub struct Leadership {
    epoch: Epoch,
    bound: Bound,
}

#[derive(Debug)]
enum Bound {
    /// Nobody else leads, by the operator's word.
    Standalone,
    /// For as long as the Lease is renewed in time.
    Leased(Arc<Deadline>),
}

/// Until when the Lease entitles its holder. The election moves it, every [`Leadership`] over it
/// reads it: a renewal reaches operations that are under way, and so does its end.
#[derive(Debug)]
pub(super) struct Deadline(AtomicU64);

/// The right to send one mutation. Spent by passing it to one mutating call of a port; the next
/// step of an operation asks for another, so the clock is asked again.
#[derive(Debug)]
#[must_use = "a permit is spent by passing it to one mutating port call"]
pub struct Permit {
    epoch: Epoch,
}

impl Leadership {
    /// The only controller of its RDS by the operator's word (`--standalone`): no deadline.
    pub fn standalone(epoch: Epoch) -> Self {
        Self {
            epoch,
            bound: Bound::Standalone,
        }
    }

    /// The holder of the Lease, until `deadline`. Only the election mints one.
    pub(super) fn leased(epoch: Epoch, deadline: Arc<Deadline>) -> Self {
        Self {
            epoch,
            bound: Bound::Leased(deadline),
        }
    }

    /// The term.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// One permit, if the term has not run out.
    ///
    /// # Errors
    /// `NotLeader` past the deadline: nothing may be sent and no success answered.
    pub fn permit(&self, now: BootTime) -> Result<Permit, Error> {
        self.check(now)?;
        Ok(Permit { epoch: self.epoch })
    }

    /// How long it lasts if nothing renews it; `None` without a deadline.
    pub fn remaining(&self, now: BootTime) -> Option<Duration> {
        match &self.bound {
            Bound::Leased(deadline) => Some(now.until(deadline.end())),
            Bound::Standalone => None,
        }
    }

    /// Whether the term still runs: asked again before a success is answered.
    ///
    /// # Errors
    /// `NotLeader` past the deadline.
    pub fn check(&self, now: BootTime) -> Result<(), Error> {
        match &self.bound {
            Bound::Leased(deadline) if deadline.passed(now) => Err(Error::new(
                Kind::NotLeader,
                "leadership ran out before the operation was complete; the next leader will resume it",
            )),
            Bound::Leased(_) | Bound::Standalone => Ok(()),
        }
    }

    /// Whether it ended by time alone, so that whoever acted under it may not know yet. A process in
    /// which that has happened never leads again.
    pub fn ran_out(&self, now: BootTime) -> bool {
        match &self.bound {
            Bound::Leased(deadline) => !deadline.is_cut() && deadline.passed(now),
            Bound::Standalone => false,
        }
    }
}

impl Deadline {
    /// Leadership until `end`.
    pub(super) fn at(end: BootTime) -> Self {
        Self(AtomicU64::new(end.nanoseconds()))
    }

    /// Moves the end.
    pub(super) fn extend(&self, end: BootTime) {
        self.0.store(end.nanoseconds(), Ordering::SeqCst);
    }

    /// Ends it now: no permit is handed out any more, whatever the clock says.
    pub(super) fn cut(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    fn end(&self) -> BootTime {
        BootTime(Duration::from_nanos(self.0.load(Ordering::SeqCst)))
    }

    fn passed(&self, now: BootTime) -> bool {
        now.nanoseconds() >= self.0.load(Ordering::SeqCst)
    }
}

impl Permit {
    /// The term this permit belongs to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> BootTime {
        BootTime::new(Duration::from_secs(count))
    }

    #[test]
    fn a_leased_leadership_ends_at_its_deadline_and_not_before() {
        let deadline = Arc::new(Deadline::at(second(6)));
        let leadership = Leadership::leased(Epoch::from_record(3), Arc::clone(&deadline));
        let holds = |at| leadership.permit(at).is_ok();
        assert!(holds(second(5)) && !holds(second(6)) && !holds(second(7)));
        deadline.extend(second(8));
        assert!(holds(second(7)) && !holds(second(8)), "renewed");
        assert!(!leadership.ran_out(second(7)) && leadership.ran_out(second(8)));
        deadline.cut();
        assert!(!leadership.ran_out(second(8)), "its holder knows");
        assert!(!holds(second(0)), "released");
        let error = leadership.permit(second(0)).unwrap_err();
        assert_eq!(error.kind(), Kind::NotLeader);
    }
}
