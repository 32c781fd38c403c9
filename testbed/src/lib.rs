//! A real Kubernetes control plane, stock sidecars and the driver, as processes on one machine.

pub mod control_plane;
pub mod error;
pub mod folder;
pub mod kubeconfig;
pub mod pki;
pub mod process;
pub mod tools;
