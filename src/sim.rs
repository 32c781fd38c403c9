//! A simulated RDS: the independent referee. It shares no code with the rest of the crate.

pub mod admin;
pub mod backing;
mod commands;
mod device;
pub mod faults;
pub mod gate;
pub mod handle;
pub mod initiator;
pub mod kubernetes;
mod lang;
mod listing;
pub mod name;
pub mod observer;
pub mod options;
pub mod personality;
mod run;
pub mod server;
pub mod state;
pub mod store;
pub mod target;
mod texts;
pub mod transport;
pub mod value;
pub mod world;
