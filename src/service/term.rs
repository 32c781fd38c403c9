//! The term in force: who may act, how names are written, since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::error::{Error, Kind};
use crate::domain::grant::Scheme;
use crate::domain::leadership::{Epoch, Leadership, Permit};
use crate::ports::{Backend, Clock};

/// One stretch of leadership over one incarnation of the RDS.
#[derive(Debug)]
pub(super) struct Term {
    leadership: Leadership,
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
    current: Mutex<Result<Arc<Term>, Unread>>,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
}

/// There is no term: the RDS has not been read yet, or could not be.
#[derive(Debug, Clone, Default)]
struct Unread {
    why: Option<String>,
}

// === impl Terms ===

impl Terms {
    pub(super) fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        Self {
            current: Mutex::new(Err(Unread::default())),
            backend,
            clock,
        }
    }

    /// The term in force.
    ///
    /// # Errors
    /// `Unavailable` while the RDS is being read, or must be read again.
    pub(super) fn current(&self) -> Result<Arc<Term>, Error> {
        let held = self.lock().clone();
        let term = held.map_err(|unread| unread.error())?;
        term.check()?;
        Ok(term)
    }

    /// Ends the term in force: its permits run dry.
    pub(super) fn end(&self) {
        *self.lock() = Err(Unread::default());
    }

    /// Records why the RDS could not be read, for callers who ask in the meantime.
    pub(super) fn failed(&self, why: String) {
        *self.lock() = Err(Unread { why: Some(why) });
    }

    /// A term over the `incarnation` that was read. Calls are not served in it yet.
    pub(super) fn prepare(
        &self,
        leadership: Leadership,
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

    /// Serves calls in this term from now on.
    pub(super) fn begin(&self, term: Arc<Term>) {
        *self.lock() = Ok(term);
    }

    fn lock(&self) -> MutexGuard<'_, Result<Arc<Term>, Unread>> {
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
            return Err(Unread::default().error());
        }
        self.leadership.check(self.clock.boot())
    }

    /// The epoch, for names.
    pub(super) fn epoch(&self) -> Epoch {
        self.leadership.epoch()
    }
}

// === impl Unread ===

impl Unread {
    fn error(&self) -> Error {
        let mut context = "the RDS has not been read since it (or this controller) started, so nobody can say who holds which volume; retry in a moment".to_owned();
        if let Some(why) = &self.why {
            context = format!("{context} (the last try: {why})");
        }
        Error::new(Kind::Unavailable, context)
    }
}
