//! What the process says about itself: logs on stderr, as text or JSON, and traces for a collector.

pub mod context;
pub mod level;
mod lines;
mod pipeline;
pub mod propagate;
mod sampler;
mod semantics;
pub mod traces;

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::time::Duration;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{Format as LineFormat, JsonFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry};

pub use self::pipeline::dropped;

use self::level::BadFilter;
use self::lines::{Finder, Form, Lines};
use self::traces::{Exporting, Traces, TracesError};

/// Shown unless asked otherwise: what changed, and nothing of the SSH library's own news.
pub const DEFAULT_FILTER: &str = "info,russh=warn";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// A word that names no log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be text or json")]
pub struct UnknownFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter cannot be read.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// Spans cannot be exported.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// Something else in this process logs already.
    #[error("logging is set up twice")]
    Twice(#[from] TryInitError),
}

/// Telemetry at work. Without [`Telemetry::finish`] the last spans of the process are lost.
#[derive(Debug)]
#[must_use = "spans that still wait are lost unless it is finished"]
pub struct Telemetry(Option<Exporting>);

/// Starts logging for the whole process, and tracing if `traces` says where spans go. `filter` is a
/// level, or a list of `target=level`; it is about log lines only.
///
/// # Errors
/// If the filter cannot be read, the exporter cannot be made, or logging is already set up.
pub fn init(format: Format, filter: &str, traces: Option<&Traces>) -> Result<Telemetry, InitError> {
    let (filter, ready) = level::reloadable(filter)?;
    let exporting = traces.map(Exporting::start).transpose()?;
    let finder = Finder::default();
    let spans = exporting.as_ref().map(spans);
    tracing_subscriber::registry()
        .with(spans)
        // It wants to be told of the subscriber, and of nothing else.
        .with(finder.clone().with_filter(LevelFilter::OFF))
        .with(lines(format, finder).with_filter(filter))
        .try_init()?;
    ready();
    if let Some(traces) = traces {
        traces.announce();
    }
    Ok(Telemetry(exporting))
}

/// Spans of ours, for the exporter.
fn spans(exporting: &Exporting) -> impl Layer<Registry> + use<> {
    tracing_opentelemetry::layer()
        .with_tracer(exporting.tracer())
        // The place in the trace is that of the span, and our code carries spans from task to task.
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_filter(filter_fn(is_ours).with_max_level_hint(Level::INFO))
}

/// The spans of this program, and what in them is worth a warning: the libraries' own spans would
/// include those of the exporter. Not those of tasks, which never end.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_worth_it = metadata.is_span() || *metadata.level() <= Level::WARN;
    is_worth_it && target.starts_with("rds_csi") && target != "rds_csi::task"
}

/// Log lines on stderr.
fn lines<S>(format: Format, finder: Finder) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        Format::Text => {
            let is_terminal = io::stderr().is_terminal();
            let text = LineFormat::default().with_ansi(is_terminal);
            lines
                .with_ansi(is_terminal)
                .event_format(Lines::new(text, Form::Text, finder))
                .boxed()
        }
        Format::Json => {
            let json = LineFormat::default().json();
            let json = json.flatten_event(true).with_span_list(false);
            lines
                .fmt_fields(JsonFields::new())
                .event_format(Lines::new(json, Form::Json, finder))
                .boxed()
        }
    }
}

// === impl Telemetry ===

impl Telemetry {
    /// Sends the spans that still wait, for no longer than `limit`. Blocks.
    pub fn finish(self, limit: Duration) {
        if let Some(exporting) = self.0 {
            exporting.finish(limit);
        }
    }
}

// === impl Format ===

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(raw: &str) -> Result<Self, UnknownFormat> {
        match raw {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_back_and_other_words_are_refused() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        for bad in ["", "yaml", "JSON", "json "] {
            assert_eq!(bad.parse::<Format>(), Err(UnknownFormat), "{bad:?}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_shown_in_the_error() {
        let error = init(Format::Text, "info,rds_csi=loud", None).unwrap_err();
        assert!(error.to_string().contains("rds_csi=loud"), "{error}");
    }

    #[test]
    fn the_default_filter_can_be_read() {
        assert!(level::parse(DEFAULT_FILTER).is_ok());
    }
}
