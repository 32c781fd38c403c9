//! Which traces are recorded: whole ones, begun by something worth a trace.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Spans that may begin a trace. Whatever else has no parent is of no call: a look whether the RDS
/// can be reached, every three seconds, is nothing that anybody searches for.
const ROOTS: [&str; 5] = ["rpc", "term", "term.end", "rebuild", "reconcile"];

/// A sampler that is only asked about the beginnings of traces.
#[derive(Debug, Clone)]
pub(super) struct Rooted(pub(super) Sampler);

impl ShouldSample for Rooted {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent.is_some_and(TraceContextExt::has_active_span);
        if has_parent || ROOTS.contains(&name) {
            return self
                .0
                .should_sample(parent, trace, name, kind, attributes, links);
        }
        SamplingResult {
            decision: SamplingDecision::Drop,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    fn within(flags: TraceFlags) -> Context {
        let span = SpanContext::new(
            TraceId::from_bytes([1; 16]),
            SpanId::from_bytes([1; 8]),
            flags,
            true,
            TraceState::NONE,
        );
        Context::new().with_remote_span_context(span)
    }

    #[test]
    fn a_trace_is_recorded_whole_and_only_if_something_worth_it_begins_it() {
        let sampled = within(TraceFlags::SAMPLED);
        let left_out = within(TraceFlags::NOT_SAMPLED);
        let all = || Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let none = || Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        let rows = [
            (all(), None, "rpc", true),
            (all(), None, "reconcile", true),
            (all(), None, "rds.command", false),
            (all(), Some(&sampled), "rds.command", true),
            (all(), Some(&left_out), "rds.command", false),
            (all(), Some(&left_out), "rpc", false),
            (none(), None, "rpc", false),
            // Whoever called us records this trace.
            (none(), Some(&sampled), "rpc", true),
        ];
        for (sampler, parent, name, expected) in rows {
            let sampler = Rooted(sampler);
            let trace = TraceId::from_bytes([1; 16]);
            let result = sampler.should_sample(parent, trace, name, &SpanKind::Internal, &[], &[]);
            let recorded = result.decision == SamplingDecision::RecordAndSample;
            assert_eq!(recorded, expected, "{name} {parent:?}");
        }
    }
}
