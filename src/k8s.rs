//! The Kubernetes API behind our ports: clients with deadlines, the Lease, what Kubernetes says
//! about our volumes, and events.

pub mod client;
pub mod cluster;
mod error;
pub mod events;
mod guard;
pub mod lease;
mod object;
mod trace;

pub use error::Error;
