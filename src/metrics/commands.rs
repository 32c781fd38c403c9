//! RouterOS lines: what came of them, and how long it took.

use std::time::Duration;

use super::catalog::{RDS_COMMAND_DURATION, RDS_UNKNOWN};
use super::kinds::{Count, Times, up_to_a_minute};
use super::{Group, Metrics};

/// The outcome of a change whose reply was lost.
pub const UNKNOWN: &str = "unknown";

/// Counts lines. Clones count for the same RDS.
#[derive(Debug, Clone)]
pub struct Commands {
    took: Times<2>,
    unknown: Count,
}

// === impl Commands ===

impl Commands {
    /// A line came to an end, or was given up.
    pub fn ended(&self, verb: &'static str, outcome: &'static str, took: Duration) {
        self.took.add([verb, outcome], took);
        if outcome == UNKNOWN {
            self.unknown.add();
        }
    }
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            took: Times::of(&RDS_COMMAND_DURATION, up_to_a_minute),
            unknown: Count::of(&RDS_UNKNOWN),
        }
    }
}

impl Group for Commands {
    fn enter(&self, metrics: &mut Metrics) {
        self.took.enter(metrics);
        self.unknown.enter(metrics);
    }
}
