//! The way of a span from its end to the collector: bounded, off the path of every call, and known to
//! lose spans rather than to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use tracing::{info, warn};

use super::sampler::ROOTS;
use super::{context, semantics};

/// Spans that wait for the collector, about 1 KiB each: 4 MiB at most. A node with 100 volumes that
/// is drained makes 200 calls of some 15 spans within seconds, which is 3000.
pub(super) const QUEUE: usize = 4096;

/// How long a span waits for others to be sent along with it. What a process that crashes takes with
/// it is at most so much.
pub(super) const DELAY: Duration = Duration::from_secs(1);

/// Spans that were lost since the process began.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many spans were lost since the process began: too many waited for the collector, or it did
/// not take them.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Takes spans that ended, as many as there is room for.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: BatchSpanProcessor,
    room: usize,
    waiting: Arc<AtomicUsize>,
}

/// Sends batches, counts what was lost, and says so once each time that this changes.
#[derive(Debug)]
struct Watched<E> {
    inner: E,
    waiting: Arc<AtomicUsize>,
    /// What was lost when it was last looked at.
    told: AtomicU64,
    failing: AtomicBool,
}

// === impl Bounded ===

impl Bounded {
    /// Sends spans through `exporter`; no more than `room` wait.
    pub(super) fn new(
        exporter: impl SpanExporter + 'static,
        room: usize,
        batch: BatchConfigBuilder,
    ) -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        let watched = Watched {
            inner: exporter,
            waiting: Arc::clone(&waiting),
            told: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        };
        let batch = batch.with_max_queue_size(room).build();
        Self {
            inner: BatchSpanProcessor::new(watched, batch),
            room,
            waiting,
        }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    /// Never waits and logs nothing: it runs wherever a span ends, with locks of the subscriber held.
    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if ROOTS.contains(&&*span.name) {
            context::ended(span.span_context.clone());
        }
        // What waits or is being sent counts, so that the queue inside has room for what passes here.
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.room {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

// === impl Watched ===

impl<E> Watched<E> {
    fn sent(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            info!(dropped = dropped(), "the collector takes spans again");
        }
    }

    fn lost(&self, count: usize, why: &dyn std::error::Error) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        DROPPED.fetch_add(count, Ordering::Relaxed);
        self.told.store(dropped(), Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn!(
                error = %why,
                "the collector does not take spans; they are dropped and counted until it does"
            );
        }
    }

    /// It takes spans, but there was no room for some while this batch was on its way.
    fn slow(&self, dropped: u64) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn!(
                dropped,
                "the collector is too slow; spans are dropped and counted until it is not"
            );
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        batch.iter_mut().for_each(semantics::apply);
        let outcome = self.inner.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::AcqRel);
        let now = dropped();
        match outcome {
            Err(error) => self.lost(count, &error),
            Ok(()) if self.told.swap(now, Ordering::Relaxed) != now => self.slow(now),
            Ok(()) => self.sent(),
        }
        // Told already; the library would say it again each time.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
