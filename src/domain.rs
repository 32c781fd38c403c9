//! What the driver knows and decides: no IO, no async, no clock, no gRPC, no Kubernetes, no RouterOS.

pub mod access;
pub mod capacity;
pub mod claim;
pub mod context;
pub mod drift;
pub mod election;
pub mod error;
pub mod event;
pub mod file;
pub mod grant;
pub mod id;
pub mod leadership;
pub mod names;
pub mod parameters;
pub mod publish;
pub mod shard;
pub mod volume;
