//! `rds-csi demo`: the whole product on one machine, and the attacks that it is made for.
//!
//! Three controllers whose leader keeps dying (`failover`), or the story of one volume and one
//! controller (`--standalone`). A simulated RDS behind real SSH, drivers behind their real sockets,
//! and machines that connect as Linux does. The referee is the simulator: it sees every session and
//! every write.

mod cast;
mod client;
mod failover;
mod judge;
mod lines;
mod moves;
pub mod options;
mod play;
mod report;
mod story;
mod timeline;
