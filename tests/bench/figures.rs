//! Figures as tables show them.

use std::time::Duration;

use super::samples::Summary;

/// p50, p90, p99 and max, in milliseconds.
pub(crate) fn latencies(summary: &Summary) -> [String; 4] {
    let Summary {
        min: _,
        p50,
        p90,
        p99,
        max,
    } = *summary;
    [p50, p90, p99, max].map(|took| format!("{:.2}", ms(took)))
}

pub(crate) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
