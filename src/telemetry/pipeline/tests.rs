//! What becomes of spans when the collector is well, slow, gone, or silent.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::SystemTime;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

use super::*;

/// A collector whose every answer the test gives.
#[derive(Debug)]
struct Collector {
    came: Sender<usize>,
    answers: Mutex<Receiver<OTelSdkResult>>,
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.came.send(batch.len()).unwrap();
        self.answers.lock().unwrap().recv().unwrap_or(Ok(()))
    }
}

fn span(number: u8) -> SpanData {
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes([7; 16]),
            SpanId::from_bytes([number; 8]),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from_bytes([9; 8]),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "decision".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

/// One test, for the count of what was lost is the process's.
#[test]
fn spans_are_lost_and_counted_rather_than_waited_for() {
    let (came, batches) = channel();
    let (answer, answers) = channel();
    let collector = Collector {
        came,
        answers: Mutex::new(answers),
    };
    let batch = BatchConfigBuilder::default()
        .with_max_export_batch_size(1)
        .with_scheduled_delay(Duration::from_hours(1));
    let bounded = Bounded::new(collector, 2, batch);
    let before = dropped();

    // It is silent: two spans fit in, one of them on its way, and whoever ends more goes on at once.
    bounded.on_end(span(1));
    assert_eq!(batches.recv(), Ok(1));
    for number in 2..=5 {
        bounded.on_end(span(number));
    }
    assert_eq!(dropped() - before, 3);

    // It refuses both: they are lost, too.
    for _ in 0..2 {
        let refused = OTelSdkError::InternalFailure("Unavailable".to_owned());
        answer.send(Err(refused)).unwrap();
    }
    assert_eq!(batches.recv(), Ok(1));
    bounded.force_flush().unwrap();
    assert_eq!(dropped() - before, 5);

    // It is well again: nothing more is lost.
    answer.send(Ok(())).unwrap();
    bounded.on_end(span(6));
    assert_eq!(batches.recv(), Ok(1));
    bounded.force_flush().unwrap();
    assert_eq!(dropped() - before, 5);
    assert_eq!(bounded.waiting.load(Ordering::Acquire), 0);
}

#[test]
fn the_root_that_ended_last_is_remembered() {
    let (came, _batches) = channel();
    let (_, answers) = channel();
    let collector = Collector {
        came,
        answers: Mutex::new(answers),
    };
    let bounded = Bounded::new(collector, 8, BatchConfigBuilder::default());
    let mut root = span(3);
    root.name = "rpc".into();
    bounded.on_end(root);
    bounded.on_end(span(4));
    let last = context::last_ended().unwrap().to_string();
    assert_eq!(
        last,
        "00-07070707070707070707070707070707-0303030303030303-01"
    );
}
