//! Leadership as a value: who may change the RDS, under which epoch, until when.

use std::fmt;
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
    deadline: Option<BootTime>,
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
            deadline: None,
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

    /// Whether the term still runs: asked again before a success is answered.
    ///
    /// # Errors
    /// `NotLeader` past the deadline.
    pub fn check(&self, now: BootTime) -> Result<(), Error> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(Error::new(
                Kind::NotLeader,
                "leadership ran out before the operation was complete; the next leader will resume it",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

impl Permit {
    /// The term this permit belongs to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}
