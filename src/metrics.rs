//! What the process counts: one registry, written out for Prometheus.
//!
//! Every part of the driver owns the group of counters that its decisions move ([`rpc`],
//! [`commands`], [`volumes`], [`election`]) and hands the registry a handle. What can be read off
//! at any time is not counted but read when somebody asks: [`gauges`]. Names, types, labels and help
//! stand in [`catalog`], and nowhere else.
//!
//! A label takes `&'static str` only: a word of this program's own source. So no request, node or
//! volume can ever add a series.

pub mod catalog;
pub mod commands;
pub mod election;
pub mod exposition;
pub mod gauges;
mod kinds;
pub mod rpc;
pub mod volumes;

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};

use self::catalog::Spec;
use self::exposition::Form;
use self::gauges::{Pulled, Reading};

/// The registry of a process.
#[derive(Default)]
pub struct Metrics {
    registry: Registry,
}

/// A group of counters that some part of the driver moves.
pub trait Group {
    /// Enters every one of them.
    fn enter(&self, registry: &mut Metrics);
}

// === impl Metrics ===

impl Metrics {
    /// Also shows this group from now on.
    #[must_use]
    pub fn with(mut self, group: &impl Group) -> Self {
        group.enter(&mut self);
        self
    }

    /// Everything, with the gauges as they were just read.
    #[expect(clippy::missing_panics_doc, reason = "writing to a string cannot fail")]
    pub fn scrape(&self, reading: Reading, form: Form) -> String {
        let mut pulled = Registry::default();
        pulled.register_collector(Box::new(Pulled(reading)));
        let mut out = String::new();
        text::encode_registry(&mut out, &self.registry)
            .and_then(|()| text::encode_registry(&mut out, &pulled))
            .and_then(|()| text::encode_eof(&mut out))
            .expect("writing to a string cannot fail");
        form.write(out)
    }

    fn add(&mut self, spec: &'static Spec, metric: impl Metric) {
        self.registry.register(spec.stem(), spec.help, metric);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
