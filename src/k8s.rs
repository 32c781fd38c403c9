//! The Kubernetes API behind our ports: clients with deadlines, the Lease, and events.

pub mod client;
mod error;
pub mod events;
mod guard;
pub mod lease;
mod object;

pub use error::Error;
