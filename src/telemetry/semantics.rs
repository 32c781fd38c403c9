//! What spans look like to whoever reads them: names, kinds and status by the conventions of
//! OpenTelemetry, made out of the fields that our own spans have. Done on the exporter's thread.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// Codes that mean that the server failed, not its caller (semantic conventions for gRPC: status of
/// server spans).
const FAULTS_OF_THE_SERVER: [&str; 6] = [
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
];

/// Outcomes of our own steps that somebody who looks for trouble looks for.
const TROUBLE: [&str; 5] = ["failed", "refused", "unknown", "unreachable", "lost"];

/// Names, kind and status of a span that has ended.
pub(super) fn apply(span: &mut SpanData) {
    explain(span);
    let outcome = text(&span.attributes, "outcome").unwrap_or_default();
    let failed = match &*span.name {
        "rpc" => {
            span.span_kind = SpanKind::Server;
            FAULTS_OF_THE_SERVER.contains(&outcome)
        }
        "rds.command" | "rds.exec" => {
            span.span_kind = SpanKind::Client;
            TROUBLE.contains(&outcome)
        }
        name if name.starts_with("k8s.") => {
            span.span_kind = SpanKind::Client;
            TROUBLE.contains(&outcome)
        }
        _ => TROUBLE.contains(&outcome),
    };
    // Not what the levels of log lines in it make of it.
    span.status = if failed {
        let why = text(&span.attributes, "error").unwrap_or_default();
        Status::error(why.to_owned())
    } else {
        Status::Unset
    };
    if span.name == "rpc"
        && let Some(service) = text(&span.attributes, "rpc.service")
        && let Some(method) = text(&span.attributes, "rpc.method")
    {
        span.name = format!("{service}/{method}").into();
    }
}

/// Why a call failed stands in its log line, with the causes: that is said once, here too.
fn explain(span: &mut SpanData) {
    if text(&span.attributes, "error").is_some() {
        return;
    }
    let mut events = span.events.iter().rev();
    let why = events.find_map(|event| text(&event.attributes, "error"));
    if let Some(why) = why {
        let why = KeyValue::new("error", why.to_owned());
        span.attributes.push(why);
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().rfind(|one| one.key.as_str() == key)?;
    match &found.value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{Event, SpanContext, SpanId};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn span(name: &'static str, attributes: &[(&'static str, &'static str)]) -> SpanData {
        let attributes = attributes.iter();
        SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: attributes
                .map(|(key, value)| KeyValue::new(*key, *value))
                .collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[test]
    fn a_call_tells_why_it_failed_in_the_words_of_its_log_line() {
        let mut span = span("rpc", &[("outcome", "UNAVAILABLE")]);
        let why = vec![KeyValue::new("error", "no answer: connection reset")];
        let line = Event::new("rpc failed", SystemTime::UNIX_EPOCH, why, 0);
        span.events.events.push(line);
        apply(&mut span);
        let told = text(&span.attributes, "error");
        assert_eq!(told, Some("no answer: connection reset"));
        assert_eq!(span.status, Status::error("no answer: connection reset"));
    }

    #[test]
    fn a_span_has_the_name_kind_and_status_that_readers_expect() {
        let rpc = |outcome| {
            let fields = [
                ("rpc.service", "csi.v1.Controller"),
                ("rpc.method", "CreateVolume"),
                ("outcome", outcome),
                ("error", "x"),
            ];
            span("rpc", &fields)
        };
        let long = "csi.v1.Controller/CreateVolume";
        let rows = [
            (rpc("OK"), long, SpanKind::Server, false),
            // The caller's business.
            (rpc("FAILED_PRECONDITION"), long, SpanKind::Server, false),
            (rpc("UNAVAILABLE"), long, SpanKind::Server, true),
            (
                span("rds.command", &[("outcome", "done")]),
                "rds.command",
                SpanKind::Client,
                false,
            ),
            (
                span("rds.command", &[("outcome", "unknown"), ("error", "x")]),
                "rds.command",
                SpanKind::Client,
                true,
            ),
            (
                span("k8s.list", &[("outcome", "failed"), ("error", "x")]),
                "k8s.list",
                SpanKind::Client,
                true,
            ),
            (span("decision", &[]), "decision", SpanKind::Internal, false),
        ];
        for (mut span, name, kind, failed) in rows {
            apply(&mut span);
            assert_eq!((&*span.name, &span.span_kind), (name, &kind));
            let status = if failed {
                Status::error("x")
            } else {
                Status::Unset
            };
            assert_eq!(span.status, status, "{name}");
        }
    }
}
