//! What a test wants of its bed.

use rds_csi::sim::handle::SimConfig;
use serde_json::{Value, json};

use crate::pod::container::BackOff;

/// The bed of one test.
#[derive(Clone, Debug)]
pub struct Options {
    /// Replicas of the controller, instead of the chart's own number.
    pub replicas: Option<usize>,
    /// The nodes; the test's name is put in front of each.
    pub nodes: Vec<String>,
    /// Values for the chart, over those that the bed gives.
    pub values: Value,
    /// Variables for the driver's environment that no chart gives: times that only tests may use,
    /// such as `RDS_CSI_UNSAFE_SHORT_CUT_AFTER`.
    pub environment: Vec<(String, String)>,
    /// How soon containers that ended are started again.
    pub back_off: BackOff,
    /// The simulated RDS; its accounts are replaced.
    pub sim: SimConfig,
    /// Whether the Lease is there already, as released by an earlier leader. Without it the first
    /// leader waits for one lease.
    pub released_lease: bool,
    /// Whether the controllers send their traces to a Jaeger of the bed's own.
    pub traced: bool,
}

// === impl Options ===

impl Default for Options {
    /// What the chart gives by default, and three nodes.
    fn default() -> Self {
        Self {
            replicas: None,
            nodes: ["a", "b", "c"].map(ToOwned::to_owned).into(),
            values: json!({}),
            environment: Vec::new(),
            back_off: BackOff::default(),
            sim: SimConfig::default(),
            released_lease: true,
            traced: false,
        }
    }
}
