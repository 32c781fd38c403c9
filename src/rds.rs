//! rds

pub mod transport;
