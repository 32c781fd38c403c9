//! Times of failovers, in seconds.

use super::samples::Summary;

/// A row of a table with columns for min, p50, p99 and max.
pub(crate) fn row(name: String, summary: &Summary) -> Vec<String> {
    let Summary {
        min,
        p50,
        p90: _,
        p99,
        max,
    } = *summary;
    let figures = [min, p50, p99, max].map(|took| format!("{:.3}", took.as_secs_f64()));
    std::iter::once(name).chain(figures).collect()
}
