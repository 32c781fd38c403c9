//! The kinds of metrics that groups are made of: each knows its row of the catalog.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;
use super::catalog::Spec;

/// Names and values of the labels of one series.
pub(super) type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counts.
#[derive(Debug, Clone)]
pub(super) struct Count {
    spec: &'static Spec,
    counter: Counter,
}

/// Counts, by labels.
#[derive(Debug, Clone)]
pub(super) struct Counts<const N: usize> {
    spec: &'static Spec,
    family: Family<Labels<N>, Counter>,
}

/// How many there are now, by one label.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    spec: &'static Spec,
    family: Family<Labels<1>, Gauge>,
}

/// How long things took, by labels.
#[derive(Debug, Clone)]
pub(super) struct Times<const N: usize> {
    spec: &'static Spec,
    family: Family<Labels<N>, Histogram, fn() -> Histogram>,
}

// === impl Count ===

impl Count {
    pub(super) fn of(spec: &'static Spec) -> Self {
        Self {
            spec,
            counter: Counter::default(),
        }
    }

    pub(super) fn add(&self) {
        self.counter.inc();
    }

    pub(super) fn enter(&self, metrics: &mut Metrics) {
        metrics.add(self.spec, self.counter.clone());
    }
}

// === impl Counts ===

impl<const N: usize> Counts<N> {
    /// With these series at zero from the start: of a series that only appears with its first count,
    /// `increase()` never sees that count.
    pub(super) fn of(
        spec: &'static Spec,
        known: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Self {
        let family = Family::default();
        for values in known {
            drop(family.get_or_create(&labels(spec, values)));
        }
        Self { spec, family }
    }

    pub(super) fn add(&self, values: [&'static str; N]) {
        self.family.get_or_create(&labels(self.spec, values)).inc();
    }

    pub(super) fn enter(&self, metrics: &mut Metrics) {
        metrics.add(self.spec, self.family.clone());
    }
}

// === impl Levels ===

impl Levels {
    pub(super) fn of(spec: &'static Spec) -> Self {
        Self {
            spec,
            family: Family::default(),
        }
    }

    pub(super) fn gauge(&self, value: &'static str) -> Gauge {
        self.family.get_or_create_owned(&labels(self.spec, [value]))
    }

    pub(super) fn enter(&self, metrics: &mut Metrics) {
        metrics.add(self.spec, self.family.clone());
    }
}

// === impl Times ===

impl<const N: usize> Times<N> {
    pub(super) fn of(spec: &'static Spec, buckets: fn() -> Histogram) -> Self {
        Self {
            spec,
            family: Family::new_with_constructor(buckets),
        }
    }

    pub(super) fn add(&self, values: [&'static str; N], took: Duration) {
        self.family
            .get_or_create(&labels(self.spec, values))
            .observe(took.as_secs_f64());
    }

    pub(super) fn enter(&self, metrics: &mut Metrics) {
        metrics.add(self.spec, self.family.clone());
    }
}

/// The labels of the catalog with these values.
pub(super) fn labels<const N: usize>(spec: &'static Spec, values: [&'static str; N]) -> Labels<N> {
    let mut names = spec.labels.iter();
    values.map(|value| {
        let name = names.next().copied();
        (name.expect("the catalog names every label"), value)
    })
}

/// From a call that needs no RDS to one that has waited for all it may: sidecars give up after 10 to
/// 60 s.
pub(super) fn up_to_a_minute() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ])
}

/// From a graceful hand-over on a quiet machine to an outage that somebody has to end.
pub(super) fn up_to_minutes() -> Histogram {
    Histogram::new([
        0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 12.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0,
    ])
}
