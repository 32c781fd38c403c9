//! The term in force: who may act, how names are written, since when.

use std::sync::{Arc, Mutex, PoisonError};

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

/// Holds the term in force, if there is one.
#[derive(Debug)]
pub(super) struct Terms {
    current: Mutex<Option<Arc<Term>>>,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
}

// === impl Terms ===

impl Terms {
    pub(super) fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        Self {
            current: Mutex::new(None),
            backend,
            clock,
        }
    }

    /// The term in force.
    ///
    /// # Errors
    /// `Unavailable` while the RDS is being read, or must be read again.
    pub(super) fn current(&self) -> Result<Arc<Term>, Error> {
        let held = self
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let term = held.ok_or_else(not_read)?;
        term.check()?;
        Ok(term)
    }

    /// Ends the term in force: its permits run dry.
    pub(super) fn end(&self) {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
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
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(term);
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
            return Err(not_read());
        }
        self.leadership.check(self.clock.boot())
    }

    /// The epoch, for names.
    pub(super) fn epoch(&self) -> Epoch {
        self.leadership.epoch()
    }
}

fn not_read() -> Error {
    Error::new(
        Kind::Unavailable,
        "the RDS has not been read since it (or this controller) started, so nobody can say who holds which volume; retry in a moment",
    )
}
