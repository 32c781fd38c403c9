//! A simulated RDS: the independent referee. It shares no code with the rest of the crate.

pub mod backing;
mod commands;
mod device;
pub mod faults;
pub mod gate;
mod lang;
mod listing;
pub mod name;
pub mod observer;
pub mod personality;
mod run;
pub mod state;
pub mod store;
pub mod target;
mod texts;
pub mod value;
pub mod world;
