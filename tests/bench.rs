//! The arithmetic of the benchmark (`tests/bench/controller.rs`, which has no test harness): wrong
//! figures look just like right ones.

#![cfg(target_os = "linux")]

#[path = "bench/proc.rs"]
mod proc;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/samples.rs"]
mod samples;
