//! gRPC in: CSI requests become calls of the services, their answers become CSI responses.

pub mod controller;
pub mod identity;
mod measure;
pub mod observe;
pub mod pulse;
pub mod request;
pub mod response;
pub mod rpc;
pub mod server;
pub mod socket;
pub mod status;
