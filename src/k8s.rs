//! The Kubernetes API behind our ports: clients with deadlines, the Lease, and what Kubernetes says
//! about our volumes.

pub mod client;
pub mod cluster;
mod error;
mod guard;
pub mod lease;
mod object;

pub use error::Error;
