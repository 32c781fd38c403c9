//! Calls of sidecars: how many, how long, under way.

use std::time::Duration;

use super::catalog::{RPC_DURATION, RPC_IN_FLIGHT};
use super::kinds::{Levels, Times, up_to_a_minute};
use super::{Group, Metrics};

/// Counts calls. Clones count for the same process.
#[derive(Debug, Clone)]
pub struct Calls {
    took: Times<2>,
    in_flight: Levels,
}

/// A call under way; no longer when dropped.
#[derive(Debug)]
pub struct UnderWay(prometheus_client::metrics::gauge::Gauge);

// === impl Calls ===

impl Calls {
    /// A call of this method begins.
    pub fn begin(&self, method: &'static str) -> UnderWay {
        let gauge = self.in_flight.gauge(method);
        gauge.inc();
        UnderWay(gauge)
    }

    /// It ended with this code, as the gRPC specification spells it.
    pub fn ended(&self, method: &'static str, code: &'static str, took: Duration) {
        self.took.add([method, code], took);
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            took: Times::of(&RPC_DURATION, up_to_a_minute),
            in_flight: Levels::of(&RPC_IN_FLIGHT),
        }
    }
}

impl Group for Calls {
    fn enter(&self, metrics: &mut Metrics) {
        self.took.enter(metrics);
        self.in_flight.enter(metrics);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}
