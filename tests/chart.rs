//! The Helm chart as the real `helm` renders it: what is installed, with which rights and arguments,
//! and which values are refused. `testbed/build.sh` builds the tools.

#![cfg(unix)]
#![allow(
    clippy::panic,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "chart/accepted.rs"]
mod accepted;
#[path = "chart/arguments.rs"]
mod arguments;
#[path = "chart/helm.rs"]
mod helm;
#[path = "chart/hook.rs"]
mod hook;
#[path = "chart/names.rs"]
mod names;
#[path = "chart/refused.rs"]
mod refused;
#[path = "chart/rights.rs"]
mod rights;
#[path = "chart/safety.rs"]
mod safety;
#[path = "chart/snapshot.rs"]
mod snapshot;
#[path = "chart/versions.rs"]
mod versions;
