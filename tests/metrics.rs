//! What is counted, measured and shown to a scraper: by one controller in this process, by replicas as
//! processes, and as Prometheus' own tool reads it.

#![cfg(all(unix, feature = "sim"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;
#[path = "metrics/catalog.rs"]
mod catalog;
#[path = "metrics/counted.rs"]
mod counted;
#[path = "metrics/files.rs"]
mod files;
#[path = "metrics/replicas.rs"]
mod replicas;
#[allow(dead_code, reason = "this target only looks at replicas")]
#[path = "operator/rig.rs"]
mod rig;
#[path = "metrics/scrape.rs"]
mod scrape;
#[path = "metrics/server.rs"]
mod server;
#[path = "metrics/standalone.rs"]
mod standalone;
#[path = "metrics/tools.rs"]
mod tools;
