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
///
/// Whoever sees that it has passed makes that final: a renewal whose answer is taken in at the same
/// moment comes too late, so that what was refused, or cut off, under a leadership is not followed by
/// more of it.
#[derive(Debug)]
pub(super) struct Deadline(AtomicU64);

/// In place of a [`Deadline`]'s nanoseconds, which are those of a machine that has started: ended by its
/// holder, until it begins anew.
const CUT: u64 = 0;
/// Seen to have passed, for good.
const OVER: u64 = 1;

/// How a [`Deadline`] is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Ahead,
    /// Ended by its holder.
    Cut,
    /// Ended by time alone.
    Over,
}

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
            Bound::Leased(deadline) if deadline.look(now) != Seen::Ahead => Err(Error::new(
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
            Bound::Leased(deadline) => deadline.look(now) == Seen::Over,
            Bound::Standalone => false,
        }
    }
}

impl Deadline {
    /// Leadership until `end`.
    pub(super) fn at(end: BootTime) -> Self {
        Self(AtomicU64::new(end.nanoseconds()))
    }

    /// Moves the end; `false` if somebody has seen it pass.
    #[must_use]
    pub(super) fn extend(&self, end: BootTime) -> bool {
        self.set(end.nanoseconds())
    }

    /// Ends it now: no permit is handed out any more, whatever the clock says. What has run out stays
    /// known as such.
    pub(super) fn cut(&self) {
        self.set(CUT);
    }

    fn set(&self, to: u64) -> bool {
        let unless_over = |from| (from != OVER).then_some(to);
        let set = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, unless_over);
        set.is_ok()
    }

    fn end(&self) -> BootTime {
        BootTime(Duration::from_nanos(self.0.load(Ordering::SeqCst)))
    }

    /// What is seen at `now`, which is final if it is [`Seen::Over`].
    fn look(&self, now: BootTime) -> Seen {
        let over_if_passed = |end| (end != CUT && now.nanoseconds() >= end).then_some(OVER);
        let passed = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, over_if_passed);
        match passed {
            Ok(_) | Err(OVER) => Seen::Over,
            Err(CUT) => Seen::Cut,
            Err(_) => Seen::Ahead,
        }
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
        assert!(holds(second(5)));
        assert!(deadline.extend(second(8)));
        assert!(holds(second(7)) && !leadership.ran_out(second(7)));
        let error = leadership.permit(second(8)).unwrap_err();
        assert_eq!(error.kind(), Kind::NotLeader);
        assert!(leadership.ran_out(second(8)));
    }

    #[test]
    fn what_was_seen_to_run_out_is_never_extended_nor_forgotten() {
        type Look = fn(&Leadership) -> bool;
        let looks: [Look; 3] = [
            |leadership| leadership.permit(second(6)).is_err(),
            |leadership| leadership.check(second(6)).is_err(),
            |leadership| leadership.ran_out(second(6)),
        ];
        for look in looks {
            let deadline = Arc::new(Deadline::at(second(6)));
            let leadership = Leadership::leased(Epoch::from_record(3), Arc::clone(&deadline));
            assert!(look(&leadership));
            assert!(!deadline.extend(second(8)));
            deadline.cut();
            assert!(leadership.ran_out(second(7)));
            assert!(leadership.check(second(0)).is_err());
        }
    }

    #[test]
    fn what_its_holder_ended_has_not_run_out_and_may_begin_anew() {
        let deadline = Arc::new(Deadline::at(second(6)));
        let leadership = Leadership::leased(Epoch::from_record(3), Arc::clone(&deadline));
        deadline.cut();
        for at in [second(0), second(6)] {
            assert!(leadership.check(at).is_err() && !leadership.ran_out(at));
        }
        assert!(deadline.extend(second(8)));
        assert!(leadership.check(second(7)).is_ok());
    }
}
