//! A real Kubernetes control plane, stock sidecars and the driver, as processes on one machine.

pub mod bed;
pub mod chart;
pub mod cluster;
pub mod control_plane;
pub mod debian;
pub mod deployment;
pub mod error;
pub mod folder;
pub mod helm;
pub mod image;
pub mod installed;
pub mod jaeger;
pub mod kubeconfig;
pub mod machines;
pub mod manual;
pub mod node;
pub mod pki;
pub mod pod;
pub mod process;
pub mod suite;
pub mod summary;
pub mod tools;
pub mod trouble;
pub mod watch;
pub mod workload;
