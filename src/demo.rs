//! `rds-csi demo`: the whole product on one machine, and the attacks that it is made for.
//!
//! A simulated RDS behind real SSH, the controller behind its real socket, and machines that connect
//! as Linux does. The referee is the simulator: it sees every session and every write.

mod cast;
mod client;
mod judge;
mod lines;
mod moves;
pub mod options;
mod play;
mod report;
mod story;
mod timeline;
