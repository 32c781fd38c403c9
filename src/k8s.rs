//! The Kubernetes API behind our ports: clients with deadlines, and the Lease.

pub mod client;
mod error;
mod guard;
pub mod lease;
mod object;

pub use error::Error;
