//! A term as traces: how it began, from the try to take the Lease to the first call that is served,
//! and how it ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{Instrument, Span, field, info_span};

use crate::domain::election::{End, Failure, HolderId, LeaseView};
use crate::domain::leadership::Epoch;
use crate::service::traced;
use crate::telemetry::context::Place;

/// The term of this process. Clones are of the same one.
#[derive(Debug, Clone)]
pub(in crate::service) struct TermTrace {
    me: Arc<str>,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Debug)]
struct Progress {
    /// Open from the first try to take the Lease until calls are served.
    span: Span,
    /// The same one, also when it has ended.
    place: Option<Place>,
    epoch: Epoch,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            span: Span::none(),
            place: None,
            epoch: Epoch::ZERO,
        }
    }
}

// === impl TermTrace ===

impl TermTrace {
    pub(super) fn of(me: &HolderId) -> Self {
        Self {
            me: me.as_str().into(),
            progress: Arc::default(),
        }
    }

    /// Takes the Lease with `write`. If that goes well, a term begins with it.
    pub(super) async fn take(
        &self,
        epoch: Epoch,
        way: &'static str,
        write: impl Future<Output = Result<LeaseView, Failure>>,
    ) -> Result<LeaseView, Failure> {
        let term = info_span!(
            parent: None,
            "term",
            lease.epoch = traced(epoch),
            lease.holder = &*self.me,
            way,
            error = field::Empty,
            outcome = field::Empty,
        );
        let span = info_span!(parent: &term, "election.acquire", outcome = field::Empty);
        let result = write.instrument(span.clone()).await;
        span.record("outcome", word(&result));
        if let Err(failure) = &result {
            term.record("outcome", word(&result));
            term.record("error", field::display(failure));
            return result;
        }
        *self.lock() = Progress {
            place: Place::of(&term),
            span: term,
            epoch,
        };
        result
    }

    /// The span in which this process takes over; none when it serves, or does not lead.
    pub(in crate::service) fn taking_over(&self) -> Span {
        self.lock().span.clone()
    }

    /// Calls are served from now on: the take-over is complete.
    pub(in crate::service) fn serves(&self) {
        let span = std::mem::replace(&mut self.lock().span, Span::none());
        span.record("outcome", "serves");
    }

    /// Lets a span of a trace of its own point to the beginning of the term.
    pub(in crate::service) fn link(&self, span: &Span) {
        if let Some(place) = &self.lock().place {
            place.link(span);
        }
    }

    /// The election is over, and with it the term, if there was one.
    pub(super) fn end(&self, end: &End) {
        let progress = std::mem::take(&mut *self.lock());
        let Some(place) = progress.place else { return };
        progress.span.record("outcome", "ended before it served");
        let (outcome, error) = match end {
            End::Stopped => ("given up", None),
            End::Lost(loss) => ("lost", Some(loss.to_string())),
        };
        let span = info_span!(
            parent: None,
            "term.end",
            lease.epoch = traced(progress.epoch),
            error,
            outcome
        );
        place.link(&span);
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn word(result: &Result<LeaseView, Failure>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(Failure::Conflict | Failure::NotHeld(_)) => "another was faster",
        Err(Failure::Withheld(_)) => "withheld",
        Err(Failure::Call(_)) => "unknown",
    }
}
