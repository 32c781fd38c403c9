//! Requests to the Kubernetes API, as spans.

use std::fmt::Display;

use tracing::{Span, field, info_span};

/// A request under way. `name` is the object's, if it is one.
pub(super) fn request(verb: &'static str, resource: &str, name: Option<&str>) -> Span {
    // The name of a span is fixed where it is made.
    macro_rules! named {
        ($span:literal) => {
            info_span!(
                $span,
                k8s.verb = verb,
                k8s.resource = resource,
                k8s.object = name,
                error = field::Empty,
                outcome = field::Empty,
            )
        };
    }
    match verb {
        "get" => named!("k8s.get"),
        "list" => named!("k8s.list"),
        "create" => named!("k8s.create"),
        "patch" => named!("k8s.patch"),
        _ => named!("k8s.request"),
    }
}

/// How a request ended. What the API refuses because of what is there is an answer like others.
pub(super) fn ended<T, E: Display>(span: &Span, result: &Result<T, E>, code: Option<u16>) {
    match (result, code) {
        (Ok(_), _) => span.record("outcome", "done"),
        (Err(_), Some(404)) => span.record("outcome", "absent"),
        (Err(_), Some(409 | 422)) => span.record("outcome", "conflict"),
        (Err(error), _) => span
            .record("error", field::display(error))
            .record("outcome", "failed"),
    };
}
