//! What can be chosen about a control plane, and how fast its controllers are.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::component::Component;

/// How much of a control plane is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// etcd and kube-apiserver: objects are kept and watched, nobody acts on them.
    ApiOnly,
    /// kube-controller-manager and kube-scheduler as well.
    Full,
}

/// Who reaches the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Processes of this machine: it listens on a free port of the loopback.
    Loopback,
    /// Real kubelets and pods: it listens where the `kubernetes` service is, on port 443 of this
    /// address of this machine, so that nothing has to translate addresses. The other services are
    /// in the same /24.
    Service(Ipv4Addr),
}

/// How to start a control plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much of it.
    pub scope: Scope,
    /// From where.
    pub reach: Reach,
    /// How long a node may be silent before it counts as not ready.
    pub node_monitor_grace_period: Duration,
    /// How often the nodes are looked at for that.
    pub node_monitor_period: Duration,
    /// How often the attach/detach controller compares what it believes attached with the
    /// VolumeAttachments. Kubernetes wants at least a second.
    pub attach_detach_sync: Duration,
    /// Flags behind those that are always given; of two with one name the last one counts.
    pub flags: BTreeMap<Component, Vec<String>>,
}

impl Options {
    /// All of it, with times that keep tests short: a node counts as dead after 10 s, which is still
    /// ten heartbeats of one second on a machine that is busy.
    pub fn quick() -> Self {
        Self {
            scope: Scope::Full,
            reach: Reach::Loopback,
            node_monitor_grace_period: Duration::from_secs(10),
            node_monitor_period: Duration::from_secs(1),
            attach_detach_sync: Duration::from_secs(5),
            flags: BTreeMap::new(),
        }
    }

    /// All of it, with the times that Kubernetes 1.36 has when nothing is said.
    pub fn stock() -> Self {
        Self {
            node_monitor_grace_period: Duration::from_secs(50),
            node_monitor_period: Duration::from_secs(5),
            attach_detach_sync: Duration::from_mins(1),
            ..Self::quick()
        }
    }

    /// etcd and kube-apiserver.
    pub fn api_only() -> Self {
        Self {
            scope: Scope::ApiOnly,
            ..Self::quick()
        }
    }

    /// With one more flag for a component, as in `--kube-api-qps=100`.
    #[must_use]
    pub fn flag(mut self, component: Component, flag: impl Into<String>) -> Self {
        self.flags.entry(component).or_default().push(flag.into());
        self
    }

    /// The components that are started.
    pub(super) fn components(&self) -> impl Iterator<Item = Component> + '_ {
        Component::ALL
            .into_iter()
            .filter(|component| self.scope == Scope::Full || component.serves_api())
    }

    /// The tools that are needed.
    pub(super) fn tools(&self) -> Vec<&'static str> {
        let programs = self.components().map(Component::tool);
        programs.chain(["kubectl"]).collect()
    }
}
