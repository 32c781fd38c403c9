//! `rds-csi`: a CSI driver for MikroTik ROSE Data Servers. What follows is `ARCHITECTURE.md`, the map.
#![doc = include_str!("../ARCHITECTURE.md")]

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod controller;
pub mod csi;
#[cfg(feature = "demo")]
pub mod demo;
pub mod domain;
pub mod k8s;
pub mod lockfile;
pub mod metrics;
pub mod operator;
pub mod ports;
pub mod proto;
pub mod rds;
pub mod service;
#[cfg(feature = "sim")]
pub mod sim;
pub mod task;
pub mod telemetry;
pub mod version;
#[cfg(feature = "sim")]
pub mod workload;
