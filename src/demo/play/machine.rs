//! What happens on machines: staging, writing, losing the network, and trying what must not work.

use super::{Outcome, Play, impossible, saw};
use crate::demo::client::Told;
use crate::demo::story::{Act, result};
use crate::sim::initiator::{ConnectError, Machine, Names, PublishContext, Written};
use crate::sim::observer::What;

/// The account of somebody who logs in by hand.
const OPERATOR: &str = "admin";

impl Play {
    pub(super) async fn on_machine(&mut self, act: Act) -> Outcome {
        match act {
            Act::Stage(node) => self.stage(node),
            Act::Unstage(node) => {
                self.cast.sim.machine(node).disconnect(self.slot());
                saw(result::DISCONNECTED, "")
            }
            Act::Write(node) => self.write(node),
            Act::CutOff(node) => {
                self.cast.sim.machine(node).partition(true);
                saw(result::DONE, "")
            }
            Act::Heal(node) => self.heal(node),
            Act::Careless(node) => self.careless(node),
            Act::OldPair(node) => self.replay(node, None),
            Act::OldHost(node) => self.replay(node, self.current()),
            Act::Sabotage(node) => self.sabotage(node).await,
            act => impossible(&format!("{act:?} is not for a machine")),
        }
    }

    fn stage(&self, node: &str) -> Outcome {
        let machine = self.cast.sim.machine(node);
        let Some(told) = self.told.get(node) else {
            return nothing_told();
        };
        let before = machine.view().failed;
        let met = connected(machine.stage(&context(told)));
        let failed = machine.view().failed - before;
        with_count(met, failed, "failed")
    }

    fn write(&mut self, node: &str) -> Outcome {
        let machine = self.cast.sim.machine(node);
        let written = machine.write(self.slot());
        let name = format!("{node} #{}", machine.view().issued);
        match written {
            Written::Done => {
                self.acknowledged = Some(name);
                saw(result::WRITTEN, "")
            }
            Written::Queued => saw(result::QUEUED, name),
            Written::NoDevice => saw(result::NO_DEVICE, ""),
        }
    }

    /// The kernel learns that its session is gone and asks for a new one; the log of the RDS knows
    /// what it was told.
    fn heal(&self, node: &str) -> Outcome {
        let machine = self.cast.sim.machine(node);
        let world = self.cast.sim.world();
        let seq = world.now_seq();
        machine.partition(false);
        machine.reconnect_now();
        let log = world.log(seq);
        let met = log.iter().rev().find_map(|entry| match &entry.what {
            What::SessionRefused { machine, why, .. } if &**machine == node => {
                Some(saw(result::REFUSED, why.to_string()))
            }
            What::SessionOpened(session) if &*session.machine == node => {
                Some(saw(result::CONNECTED, session.subsystem_nqn.to_string()))
            }
            _ => None,
        });
        let met = met.unwrap_or_else(|| saw(result::DONE, "it did not try to reconnect"));
        waiting(met, &machine)
    }

    fn careless(&self, node: &str) -> Outcome {
        let machine = self.cast.sim.machine(node);
        let Some(told) = self.told.get(node) else {
            return nothing_told();
        };
        let met = match machine.connect_only(&context(told)) {
            Ok(()) if machine.view().live_paths() == 0 => saw(result::NO_DEVICE, ""),
            other => connected(other),
        };
        waiting(met, &machine)
    }

    /// Connects with the host name of the node's last attachment, and its subsystem name unless
    /// another one is given.
    fn replay(&self, node: &str, subsystem: Option<String>) -> Outcome {
        let machine = self.cast.sim.machine(node);
        let Some(told) = self.told.get(node) else {
            return nothing_told();
        };
        let old = match machine.names(&context(told)) {
            Ok(names) => names,
            Err(error) => return impossible(&error.to_string()),
        };
        let subsystem = subsystem.unwrap_or(old.subsystem_nqn);
        connected(machine.connect(Names::new(&subsystem, &old.host_nqn)))
    }

    /// What a restored backup or a hand edit could do, and the driver never does.
    async fn sabotage(&self, node: &str) -> Outcome {
        let Some(told) = self.told.get(node) else {
            return nothing_told();
        };
        let name = |key: &str| told.get(key).map(String::as_str).unwrap_or_default();
        let line = format!(
            "/disk set [find where slot=\"{}\"] nvme-tcp-server-nqn=\"{}\" \
             nvme-tcp-server-allow-host-name=\"{}\" nvme-tcp-export=yes",
            self.slot(),
            name("nvme_nqn"),
            name("nvme_hostnqn")
        );
        let said = self.cast.sim.world().exec(OPERATOR, &line).await.stdout;
        saw(result::DONE, String::from_utf8_lossy(&said))
    }

    /// The subsystem name that the volume has on the RDS now.
    fn current(&self) -> Option<String> {
        let disk = self.cast.sim.world().disk(self.slot())?;
        Some(disk.subsystem_nqn)
    }
}

fn nothing_told() -> Outcome {
    impossible("the node was told nothing")
}

fn context(told: &Told) -> PublishContext {
    told.clone().into_iter().collect()
}

fn connected(ended: Result<(), ConnectError>) -> Outcome {
    match ended {
        Ok(()) => saw(result::CONNECTED, ""),
        Err(ConnectError::Refused { refusal, .. }) => saw(result::REFUSED, refusal.to_string()),
        Err(other) => saw(result::NO_DEVICE, other.to_string()),
    }
}

fn waiting(met: Outcome, machine: &Machine) -> Outcome {
    let queued = machine.view().queued() as u64;
    with_count(met, queued, "waits")
}

/// Adds how many writes met which fate, if any did.
fn with_count(met: Outcome, writes: u64, fate: &str) -> Outcome {
    let counted = match writes {
        0 => return met,
        1 => format!("1 write {fate}"),
        _ => format!("{writes} writes {fate}"),
    };
    let detail = if met.detail.is_empty() {
        counted
    } else {
        format!("{}; {counted}", met.detail)
    };
    Outcome { detail, ..met }
}
