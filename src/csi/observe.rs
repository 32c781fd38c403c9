//! What is seen of every call: one span, one log line where it matters, and never a lost outcome.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::time::Instant;
use tonic::{Response, Status};
use tracing::{Instrument, Span, error, error_span, field, info, warn};

use crate::csi::rpc::Rpc;
use crate::csi::status;
use crate::domain::error::{Error, Kind};

/// Ids of requests go into logs before anything has checked them: enough for the longest valid
/// one, a node id of 253 bytes.
const MAX_SHOWN: usize = 256;

/// One call, from its arrival to its answer.
#[derive(Debug)]
pub struct Call {
    rpc: Rpc,
    span: Span,
}

/// Records how a call ended, even if nobody is left to ask: a dropped future is a call whose
/// caller went away.
#[derive(Debug)]
struct Observation {
    rpc: Rpc,
    span: Span,
    began: Instant,
    recorded: bool,
}

// === impl Call ===

impl Call {
    /// A call that has just arrived.
    pub fn begin(rpc: Rpc) -> Self {
        // Of the highest level, so that a filter that shows a failure shows what it belongs to.
        let span = error_span!(
            "rpc",
            rpc.system = "grpc",
            rpc.service = rpc.service(),
            rpc.method = rpc.method(),
            rpc.grpc.status_code = field::Empty,
            csi.volume_name = field::Empty,
            csi.volume_id = field::Empty,
            csi.node_id = field::Empty,
            // These three are filled in by the services, as soon as they know.
            k8s.volumeattachment.name = field::Empty,
            lease.epoch = field::Empty,
            shard = field::Empty,
            outcome = field::Empty,
            duration_ms = field::Empty,
        );
        Self { rpc, span }
    }

    /// The name in a CreateVolume request.
    #[must_use]
    pub fn volume_name(self, raw: &str) -> Self {
        self.with("csi.volume_name", raw)
    }

    /// The volume id in the request.
    #[must_use]
    pub fn volume_id(self, raw: &str) -> Self {
        self.with("csi.volume_id", raw)
    }

    /// The node id in the request.
    #[must_use]
    pub fn node_id(self, raw: &str) -> Self {
        self.with("csi.node_id", raw)
    }

    /// Does the work of the call and answers.
    ///
    /// A panic in it is answered as an unknown outcome: without an answer the caller would see
    /// UNKNOWN, which external-provisioner takes for final.
    ///
    /// # Cancellation
    /// Dropping the future is recorded as CANCELLED.
    pub async fn answer<T>(
        self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Response<T>, Status> {
        let Self { rpc, span } = self;
        let observation = Observation {
            rpc,
            span: span.clone(),
            began: Instant::now(),
            recorded: false,
        };
        let ended = AssertUnwindSafe(work.instrument(span)).catch_unwind().await;
        match ended.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))) {
            Ok(response) => {
                observation.succeeded();
                Ok(Response::new(response))
            }
            Err(error) => Err(observation.failed(&error)),
        }
    }

    fn with(self, field: &str, raw: &str) -> Self {
        if !raw.is_empty() {
            let shown: String = raw.escape_debug().take(MAX_SHOWN).collect();
            self.span.record(field, shown);
        }
        self
    }
}

// === impl Observation ===

impl Observation {
    fn succeeded(mut self) {
        let _entered = self.end(status::OK);
        if self.rpc.changes_state() {
            info!("rpc done");
        }
    }

    fn failed(mut self, error: &Error) -> Status {
        let answer = status::answer(self.rpc, error);
        let _entered = self.end(status::outcome(&answer));
        // Debug of the error is its message and the chain of causes, in one line.
        match error.kind() {
            Kind::Bug | Kind::Misconfigured => error!(error = ?error, "rpc failed"),
            Kind::Invalid
            | Kind::Unsupported
            | Kind::NotFound
            | Kind::Incompatible
            | Kind::AttachedElsewhere
            | Kind::InUse
            | Kind::OutOfRange
            | Kind::NoSpace
            | Kind::Busy
            | Kind::BadToken
            | Kind::NotLeader
            | Kind::Unavailable
            | Kind::Timeout => warn!(error = ?error, "rpc failed"),
        }
        answer
    }

    /// Fills in what is only known at the end. The line that follows is inside the span.
    fn end(&mut self, outcome: &'static str) -> tracing::span::EnteredSpan {
        self.recorded = true;
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.span.record("outcome", outcome);
        self.span
            .record("rpc.grpc.status_code", status::number(outcome));
        self.span.record("duration_ms", elapsed);
        self.span.clone().entered()
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.recorded {
            let _entered = self.end(status::CANCELLED);
            warn!("rpc dropped before it was answered");
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    let cause: Box<dyn std::error::Error + Send + Sync> = said.into();
    Error::unknown(
        Kind::Bug,
        "the driver made a mistake in this call and cannot say what became of it; its log tells more",
    )
    .because(cause)
}

#[cfg(test)]
mod tests;
