//! The term in force: who may act, how names are written, since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::error::{Error, Kind};
use crate::domain::grant::Scheme;
use crate::domain::leadership::{Epoch, Leadership, Permit};
use crate::ports::{Backend, Clock};

/// One stretch of leadership over one incarnation of the RDS.
#[derive(Debug)]
pub(super) struct Term {
    leadership: Arc<Leadership>,
    /// How names are written and read.
    pub(super) scheme: Scheme,
    /// The incarnation of the RDS that was read.
    incarnation: u64,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
}

/// Holds the term in force, or why there is none.
#[derive(Debug)]
pub(super) struct Terms {
    current: Mutex<Result<Arc<Term>, NoTerm>>,
    /// Under what calls were last served, also when that is over.
    last: Mutex<Option<Arc<Leadership>>>,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
}

/// Why calls are not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoTerm {
    /// The RDS has not been read yet, or could not be; what the last try said.
    Unread(Option<String>),
    /// Another replica leads, if anybody does.
    Following(Option<String>),
    /// The RDS has been out of reach for so long that leadership is on offer.
    Offering,
    /// This process is about to end.
    Stopping,
}

// === impl Terms ===

impl Terms {
    pub(super) fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        Self {
            current: Mutex::new(Err(NoTerm::Unread(None))),
            last: Mutex::default(),
            backend,
            clock,
        }
    }

    /// The term in force.
    ///
    /// # Errors
    /// `Unavailable` while the RDS is being read, or must be read again; `NotLeader` on a replica
    /// that does not lead.
    pub(super) fn current(&self) -> Result<Arc<Term>, Error> {
        let held = self.lock().clone();
        let term = held.map_err(|none| none.error())?;
        term.check()?;
        Ok(term)
    }

    /// Ends the term in force: its permits run dry. A process that is about to end stays so.
    pub(super) fn end(&self, why: NoTerm) {
        let mut current = self.lock();
        if !matches!(*current, Err(NoTerm::Stopping)) {
            *current = Err(why);
        }
    }

    /// A term over the `incarnation` that was read. Calls are not served in it yet.
    pub(super) fn prepare(
        &self,
        leadership: Arc<Leadership>,
        scheme: Scheme,
        incarnation: u64,
    ) -> Arc<Term> {
        Arc::new(Term {
            leadership,
            scheme,
            incarnation,
            backend: Arc::clone(&self.backend),
            clock: Arc::clone(&self.clock),
        })
    }

    /// Serves calls in this term from now on, unless the process is about to end.
    pub(super) fn begin(&self, term: Arc<Term>) {
        let mut current = self.lock();
        if !matches!(*current, Err(NoTerm::Stopping)) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Arc::clone(&term.leadership));
            *current = Ok(term);
        }
    }

    /// Whether calls were served under a leadership that then ran out: an answer that is still on its
    /// way out of this process may be a success that it must not tell any more.
    pub(super) fn ran_out(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()
            .is_some_and(|last| last.ran_out(self.clock.boot()))
    }

    fn lock(&self) -> MutexGuard<'_, Result<Arc<Term>, NoTerm>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Term ===

impl Term {
    /// The right to send one command.
    ///
    /// # Errors
    /// `NotLeader` or `Unavailable` once the term is over.
    pub(super) fn permit(&self) -> Result<Permit, Error> {
        self.check()?;
        self.leadership.permit(self.clock.boot())
    }

    /// Asked before a success is answered: whatever was read, was it read in this term?
    ///
    /// # Errors
    /// As [`Term::permit`].
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.backend.incarnation() != self.incarnation {
            return Err(NoTerm::Unread(None).error());
        }
        self.leadership.check(self.clock.boot())
    }

    /// How long it lasts if nothing renews it; `None` without a deadline.
    pub(super) fn remaining(&self) -> Option<Duration> {
        self.leadership.remaining(self.clock.boot())
    }

    /// The epoch, for names.
    pub(super) fn epoch(&self) -> Epoch {
        self.leadership.epoch()
    }
}

// === impl NoTerm ===

impl NoTerm {
    fn error(&self) -> Error {
        match self {
            Self::Unread(why) => {
                let mut context = "the RDS has not been read since it (or this controller) started, so nobody can say who holds which volume; retry in a moment".to_owned();
                if let Some(why) = why {
                    context = format!("{context} (the last try: {why})");
                }
                Error::new(Kind::Unavailable, context)
            }
            Self::Following(Some(leader)) => Error::new(
                Kind::NotLeader,
                format!("this replica does not lead, {leader} does; calls are served there"),
            ),
            Self::Following(None) => Error::new(
                Kind::NotLeader,
                "this replica does not lead, and no leader is known yet; retry in a moment",
            ),
            Self::Offering => Error::new(
                Kind::Unavailable,
                "this replica leads, but has not reached the RDS for a while, and offers leadership to one that can; check the network between them",
            ),
            Self::Stopping => Error::new(
                Kind::NotLeader,
                "this replica is shutting down; the next leader serves the call",
            ),
        }
    }
}
