//! Processor time of everybody who takes part in an attach.

use std::collections::BTreeMap;
use std::time::Duration;

use testbed::bed::Bed;
use testbed::control_plane::Component;
use testbed::pod::Pod;
use tokio::time::Instant;

use super::proc;

/// Totals of processor time since the processes began, and lines that the RDS has received.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    at: Instant,
    cpu: BTreeMap<&'static str, Duration>,
    commands: u64,
}

/// What happened between two readings.
#[derive(Debug, Clone)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// Processor time by program.
    pub(crate) cpu: BTreeMap<&'static str, Duration>,
    /// Lines that the RDS received.
    pub(crate) commands: u64,
}

/// The leader.
pub(crate) const LEADER: &str = "leader";
/// This process.
pub(crate) const BENCH: &str = "simulated RDS, and this benchmark";

// === impl Reading ===

impl Reading {
    pub(crate) fn take(bed: &Bed, leader: &Pod) -> anyhow::Result<Self> {
        let mut cpu = BTreeMap::new();
        let mut add = |name: &'static str, pid: Option<u32>| -> anyhow::Result<()> {
            if let Some(pid) = pid {
                *cpu.entry(name).or_default() += proc::cpu(pid)?;
            }
            Ok(())
        };
        add(BENCH, Some(std::process::id()))?;
        for (component, pid) in bed.plane().pids() {
            let name = match component {
                Component::Etcd => "etcd",
                Component::ApiServer => "kube-apiserver",
                Component::ControllerManager | Component::Scheduler => "the rest of Kubernetes",
            };
            add(name, Some(pid))?;
        }
        for pod in bed.deployment().pods() {
            let is_leader = pod.uid() == leader.uid();
            for container in pod.containers() {
                let is_driver = container.name() == pod.driver()?.name();
                let name = match (is_leader, is_driver, container.name()) {
                    (true, true, _) => LEADER,
                    (false, true, _) => "both followers",
                    (true, false, "csi-attacher") => "the leader's external-attacher",
                    (_, false, _) => "the other sidecars",
                };
                add(name, container.id())?;
            }
        }
        Ok(Self {
            cpu,
            commands: bed.sim().server().counters().commands,
            at: Instant::now(),
        })
    }

    pub(crate) fn since(&self, before: &Self) -> Spent {
        let cpu = self.cpu.iter().map(|(name, total)| {
            let earlier = before.cpu.get(name).copied().unwrap_or_default();
            (*name, total.saturating_sub(earlier))
        });
        Spent {
            wall: self.at - before.at,
            cpu: cpu.collect(),
            commands: self.commands - before.commands,
        }
    }
}

// === impl Spent ===

impl Spent {
    /// Of one program.
    pub(crate) fn of(&self, name: &str) -> Duration {
        self.cpu.get(name).copied().unwrap_or_default()
    }
}
