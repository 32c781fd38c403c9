//! A simulated RDS: the independent referee. It shares no code with the rest of the crate.

pub mod server;
pub mod transport;
pub mod world;
