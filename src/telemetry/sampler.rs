//! Which traces are recorded: whole ones, begun by something worth a trace.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Spans that may begin a trace. Whatever else has no parent is of no call: a look whether the RDS
/// can be reached, every three seconds, is nothing that anybody searches for.
pub(super) const ROOTS: [&str; 5] = ["rpc", "term", "term.end", "rebuild", "reconcile"];

/// Sidecars and kubelet ask this service who we are and whether we are ready, each several times a
/// minute and of every replica; it touches nothing.
const UNTRACED_SERVICE: &str = "csi.v1.Identity";

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
        if has_parent || (ROOTS.contains(&name) && !is_chatter(attributes)) {
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

fn is_chatter(attributes: &[KeyValue]) -> bool {
    let service = attributes
        .iter()
        .find(|one| one.key.as_str() == "rpc.service");
    service.is_some_and(|one| one.value.as_str() == UNTRACED_SERVICE)
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
        let recorded = within(TraceFlags::SAMPLED);
        let left_out = within(TraceFlags::NOT_SAMPLED);
        let all = || Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let none = || Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        let rows = [
            (all(), None, "rpc", true),
            (all(), None, "reconcile", true),
            (all(), None, "rds.command", false),
            (all(), Some(&recorded), "rds.command", true),
            (all(), Some(&left_out), "rds.command", false),
            (all(), Some(&left_out), "rpc", false),
            (none(), None, "rpc", false),
            // Whoever called us records this trace.
            (none(), Some(&recorded), "rpc", true),
        ];
        let identity = [KeyValue::new("rpc.service", UNTRACED_SERVICE)];
        let trace = TraceId::from_bytes([1; 16]);
        for (parent, expected) in [
            (None, SamplingDecision::Drop),
            (Some(&recorded), SamplingDecision::RecordAndSample),
        ] {
            let sampler = Rooted(all());
            let kind = SpanKind::Internal;
            let result = sampler.should_sample(parent, trace, "rpc", &kind, &identity, &[]);
            assert_eq!(result.decision, expected, "{parent:?}");
        }
        for (sampler, parent, name, expected) in rows {
            let sampler = Rooted(sampler);
            let trace = TraceId::from_bytes([1; 16]);
            let result = sampler.should_sample(parent, trace, name, &SpanKind::Internal, &[], &[]);
            let is_recorded = result.decision == SamplingDecision::RecordAndSample;
            assert_eq!(is_recorded, expected, "{name} {parent:?}");
        }
    }
}
