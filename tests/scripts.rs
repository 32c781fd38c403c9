//! The shell scripts of this repository, run with stand-ins for the programs they call.

#![cfg(unix)]

#[path = "scripts/bench.rs"]
mod bench;
#[path = "scripts/image.rs"]
mod image;
#[path = "scripts/run.rs"]
mod run;
#[path = "scripts/testbed.rs"]
mod testbed;
