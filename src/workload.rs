//! What surrounds the driver in a cluster, small enough for tests and the demo.
//!
//! Stand-ins for external-attacher and for the decisions of kube-controller-manager. They speak the
//! real protocols, gRPC over the driver's socket and the Kubernetes API, and share no code with the
//! driver but the generated messages: two ends that share a rule agree on its mistakes.

pub mod attacher;
mod cache;
pub mod cluster;
pub mod folder;
mod objects;
pub mod placement;
pub mod provisioner;
pub mod secrets;
pub mod way;

pub use self::objects::{attachment_name, finalizer_name};
