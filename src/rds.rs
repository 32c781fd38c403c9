//! The RouterOS adapter: typed command lines out, tolerant readers back, over SSH.

pub mod answer;
pub mod backend;
pub mod command;
mod device;
pub mod entry;
pub mod error;
pub mod file;
pub mod json;
pub mod line;
pub mod names;
mod property;
pub mod record;
pub mod refusal;
pub mod reply;
pub mod text;
pub mod transport;
pub mod value;
pub mod version;
