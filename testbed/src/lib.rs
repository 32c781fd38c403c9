//! A real Kubernetes control plane, stock sidecars and the driver, as processes on one machine.
