//! A standalone controller's life: it reads the RDS at start and after every restart of it.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, debug, info, warn};

use crate::domain::error::Error;
use crate::domain::leadership::{Epoch, Leadership};
use crate::metrics::volumes::Rows;
use crate::service::State;
use crate::service::loss::{self, Losses};
use crate::service::reading::Reading;
use crate::service::shards::Lane;
use crate::service::term::NoTerm;

/// Between two tries to read the RDS. The pool below reconnects with its own back-off; this only
/// keeps a device that refuses from being asked in a tight loop.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Reads at start and after every restart, for ever.
pub(super) async fn run(state: &Arc<State>) {
    let mut complaint = Complaint::default();
    let mut losses = Losses::new();
    loop {
        let span = tracing::info_span!(parent: None, "rebuild", outcome = tracing::field::Empty);
        match rebuild(state, &mut losses).instrument(span.clone()).await {
            Ok(incarnation) => {
                span.record("outcome", "done");
                complaint.clear();
                state.backend.restarted(incarnation).await;
                state.terms.end(NoTerm::Unread(None));
                warn!("the RDS restarted, or may have; nothing is served until it is read again");
            }
            Err(error) => {
                span.record("outcome", "failed");
                state.terms.end(NoTerm::Unread(Some(error.to_string())));
                complaint.about(&error);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// One reading: what the device can enforce, every register, the epoch above all that left a mark.
/// Calls are served only once every register is what this process last knew: an old grant answered
/// to its node would let that node's queued writes in, over the data of whoever came since.
async fn rebuild(state: &Arc<State>, losses: &mut Losses) -> Result<u64, Error> {
    // Nobody else leads a standalone RDS, so these permits need no term yet.
    let probing = Leadership::standalone(Epoch::ZERO);
    let reading = Reading::take(state, &probing, losses).await?;
    let incarnation = reading.incarnation;
    let epoch = reading.highest.next();
    let fencing = reading.scheme.mode.as_str();
    let leadership = Arc::new(Leadership::standalone(epoch));
    let term = state.terms.prepare(leadership, reading.scheme, incarnation);
    state.counters.found(Rows {
        volumes: reading.volumes.len(),
        repaired: losses.len(),
        ..Rows::default()
    });
    for (id, loss) in losses.clone() {
        let (held, within, volume) = (Arc::clone(state), Arc::clone(&term), id.clone());
        let work = async move { loss::repair(&held, &within, &volume, &loss).await };
        let work = work.in_current_span();
        state.shards.run(&id, Lane::Repair, "repair", work).await?;
        losses.remove(&id);
    }
    state.terms.begin(term);
    state.terms.current()?;
    let volumes = reading.volumes.len();
    info!(?epoch, fencing, volumes, "serving");
    Ok(incarnation)
}

/// Says once for each reason that the RDS cannot be read: a device can be down for hours.
#[derive(Debug, Default)]
pub(super) struct Complaint(String);

// === impl Complaint ===

impl Complaint {
    pub(super) fn about(&mut self, error: &Error) {
        let reason = error.to_string();
        if reason == self.0 {
            debug!(?error, "the RDS still cannot be read");
        } else {
            warn!(
                ?error,
                "the RDS cannot be read; nothing is served until it is"
            );
            self.0 = reason;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
