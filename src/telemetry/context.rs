//! Where in which trace this task is: its id for people, and its place for those who go on with it.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Whether spans are exported at all. Without it every question here is answered at once.
static ON: AtomicBool = AtomicBool::new(false);

/// The root span that ended last in this process.
static LAST: Mutex<Option<Place>> = Mutex::new(None);

/// A span, as it is named to other processes and tasks: trace, span, and whether it is recorded.
///
/// As text it has the form of the `traceparent` header (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(SpanContext);

/// A text that names no span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have the form 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, neither id all zeros"
)]
pub struct UnknownPlace;

/// Spans are exported from now on.
pub(super) fn switch_on() {
    ON.store(true, Ordering::Relaxed);
}

/// Whether spans are exported.
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// The trace of the current span in 32 hex digits, if there is one that a collector gets to see.
pub fn trace_id() -> Option<String> {
    let place = Place::current().filter(|place| place.0.is_sampled());
    place.map(|place| place.trace_id())
}

/// The root span that ended last in this process: what a successor may want to look at.
pub fn last() -> Option<Place> {
    if is_on() { last_ended() } else { None }
}

pub(super) fn last_ended() -> Option<Place> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A root span has ended.
pub(super) fn ended(root: SpanContext) {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Place(root));
}

// === impl Place ===

impl Place {
    /// That of the current span, if spans are exported.
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// That of a span, if spans are exported.
    pub fn of(span: &Span) -> Option<Self> {
        if !is_on() {
            return None;
        }
        Self::valid(span.context().span().span_context().clone())
    }

    pub(super) fn valid(span: SpanContext) -> Option<Self> {
        span.is_valid().then_some(Self(span))
    }

    /// Its trace, in 32 hex digits.
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// Makes `span`, which has just been made and has no children yet, a child of this one without
    /// keeping this one open: for work that goes on after a call was answered.
    pub fn adopt(&self, span: &Span) {
        let parent = Context::new().with_remote_span_context(self.0.clone());
        // It only fails for a span that is filtered out or has begun: then there is nothing to do.
        span.set_parent(parent).ok();
    }

    /// Lets `span` point to this one, which is in another trace.
    pub fn link(&self, span: &Span) {
        if is_on() {
            span.add_link(self.0.clone());
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (self.0.trace_id(), self.0.span_id());
        let flags = self.0.trace_flags() & TraceFlags::SAMPLED;
        write!(f, "00-{trace}-{span}-{flags:02x}")
    }
}

impl FromStr for Place {
    type Err = UnknownPlace;

    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        let is_hex = |part: &str, digits: usize| {
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.len() == digits && part.bytes().all(hex)
        };
        let parts: Vec<&str> = text.split('-').collect();
        let ["00", trace, span, flags] = parts.as_slice() else {
            return Err(UnknownPlace);
        };
        if !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return Err(UnknownPlace);
        }
        let trace = TraceId::from_hex(trace).map_err(|_| UnknownPlace)?;
        let span = SpanId::from_hex(span).map_err(|_| UnknownPlace)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| UnknownPlace)?;
        let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
        let span = SpanContext::new(trace, span, flags, true, TraceState::NONE);
        Self::valid(span).ok_or(UnknownPlace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_nothing_else_is_one() {
        let good = [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ];
        for text in good {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
            assert_eq!(place.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        }
        let bad = [
            "",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-+0f067aa0ba902b7-01",
        ];
        for text in bad {
            assert_eq!(text.parse::<Place>(), Err(UnknownPlace), "{text}");
        }
    }
}
