//! Log lines that say to which trace they belong.

use std::fmt;
use std::sync::{Arc, OnceLock};

use opentelemetry::trace::TraceContextExt;
use tracing::dispatcher::WeakDispatch;
use tracing::{Dispatch, Event, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::context;

/// Finds the trace of a span in the subscriber of this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Finder(Arc<OnceLock<WeakDispatch>>);

/// A format with the id of the trace in every line that belongs to one.
#[derive(Debug)]
pub(super) struct Lines<F> {
    inner: F,
    form: Form,
    finder: Finder,
}

/// Where in a line the id goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// At the end, as another field.
    Text,
    /// The first member of the object.
    Json,
}

impl<S: Subscriber> Layer<S> for Finder {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        // A subscriber is registered once.
        self.0.set(subscriber.downgrade()).ok();
    }
}

// === impl Lines ===

impl<F> Lines<F> {
    pub(super) fn new(inner: F, form: Form, finder: Finder) -> Self {
        Self {
            inner,
            form,
            finder,
        }
    }

    fn trace<S, N>(&self, context: &FmtContext<'_, S, N>) -> Option<String>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        if !context::is_on() {
            return None;
        }
        let subscriber = self.finder.0.get()?.upgrade()?;
        let span = context.parent_span()?;
        let place = get_otel_context(&span.id(), &subscriber)?;
        let place = place.span().span_context().clone();
        place.is_valid().then(|| place.trace_id().to_string())
    }
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(trace) = self.trace(context) else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        match (self.form, line.strip_prefix('{')) {
            (Form::Json, Some(members)) => {
                write!(writer, "{{\"trace_id\":\"{trace}\",{members}")
            }
            (Form::Json | Form::Text, _) => {
                writeln!(writer, "{} trace_id={trace}", line.trim_end_matches('\n'))
            }
        }
    }
}
