//! Plays steps against a driver and holds every answer against what the RDS shows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rds_csi::domain::error::{Error, Kind};
use rds_csi::domain::id::VolumeId;
use rds_csi::ports::Backend as _;
use rds_csi::sim::gate::Breakpoints;
use rds_csi::sim::initiator::{Kernel, Machine, MachineConfig};
use rds_csi::sim::transport::{Matcher, Rule};

use crate::bed::replica::insist;
use crate::bed::{Bed, Context, GIB, Knobs, Replica};
use crate::deposit::{Deposit, is_at};
use crate::step::{Call, NODES, Step, VOLUMES};

/// The deadline of a line: stalled ones pass it.
const SHORT: Duration = Duration::from_millis(150);

pub(crate) struct Play {
    bed: Bed,
    replica: Replica,
    ids: Vec<VolumeId>,
    /// Everything each node was ever told about each volume, the newest last.
    told: BTreeMap<(usize, usize), Vec<Context>>,
    /// Who holds each volume by the answers so far; a call that failed leaves it open.
    holders: BTreeMap<usize, usize>,
    late: VecDeque<Deposit>,
    /// A late line may have cut or hidden a grant: then who holds a volume is no longer known from
    /// the answers.
    disturbed: bool,
}

fn knobs() -> Knobs {
    Knobs {
        run: SHORT,
        ..Knobs::default()
    }
}

fn name(node: usize) -> String {
    format!("node-{node}")
}

impl Play {
    pub(crate) async fn new() -> Self {
        let bed = Bed::new();
        let kernels = [Kernel::V6_12, Kernel::V6_1];
        for node in 0..NODES {
            let kernel = kernels[node % kernels.len()];
            bed.sim.add_machine(MachineConfig::new(&name(node), kernel));
        }
        let replica = bed.controller_with(&knobs()).await;
        let mut ids = Vec::new();
        for volume in 0..VOLUMES {
            let named = format!("v{volume}");
            let id = insist(&replica, || replica.create(&named)).await;
            ids.push(id.unwrap());
        }
        Self {
            bed,
            replica,
            ids,
            told: BTreeMap::new(),
            holders: BTreeMap::new(),
            late: VecDeque::new(),
            disturbed: false,
        }
    }

    pub(crate) async fn take(&mut self, step: Step) {
        match step {
            Step::Call(call) => self.call(call).await,
            Step::HeldCall(call, place) => {
                self.disturbed = true;
                let gate = Arc::new(Breakpoints::default());
                let held = gate.hold(is_at(place, &[":local s \"csi-"]));
                self.bed.world().set_gate(Some(gate));
                let server = self.bed.sim.clone();
                let (stopped, cut) = tokio::sync::oneshot::channel();
                let watch = tokio::spawn(async move {
                    let line = held.arrived().await.line;
                    server.server().cut_connections();
                    drop(stopped.send(Deposit::standing(held, line)));
                });
                self.call(call).await;
                self.bed.world().set_gate(None);
                watch.abort();
                self.late.extend(cut.await.ok());
            }
            Step::Release => {
                if let Some(late) = self.late.pop_front() {
                    late.release(&self.bed).await;
                }
            }
            Step::Stage(node, volume) => {
                if let Some(told) = self.names(node, volume, 0) {
                    self.machine(node).stage(&told).ok();
                }
            }
            Step::Sneak(node, volume, back) => {
                if let Some(told) = self.names(node, volume, back) {
                    self.machine(node).connect_only(&told).ok();
                }
            }
            Step::Write(node, volume) => {
                self.machine(node).write(self.ids[volume].as_str());
            }
            Step::Unstage(node, volume) => {
                self.machine(node).disconnect(self.ids[volume].as_str());
            }
            Step::Partition(node, on) => self.machine(node).partition(on),
            Step::Reconnect(node) => {
                self.machine(node).reconnect_now();
                self.machine(node).rescan();
            }
            Step::Lose(loss, times) => self.bed.sim.faults().add(Rule {
                fault: loss.fault(),
                on: Matcher::Contains("csi-".to_owned()),
                times: Some(times),
            }),
            Step::Restart => {
                let before = self.replica.backend.incarnation();
                self.bed.reboot();
                self.late.clear();
                self.replica.reread(before).await;
            }
            Step::Crash => self.crash().await,
        }
        self.bed.assert_one_writer(&format!("after {step:?}"));
    }

    async fn crash(&mut self) {
        // What a new process finds counts as told after the settling time, which is none here: no
        // line of the old one may be left by then.
        while let Some(late) = self.late.pop_front() {
            late.release(&self.bed).await;
        }
        self.replica = self.bed.controller_with(&knobs()).await;
    }

    fn machine(&self, node: usize) -> Arc<Machine> {
        self.bed.machine(&name(node))
    }

    /// What the node was told the last time but `back`.
    fn names(&self, node: usize, volume: usize, back: usize) -> Option<Context> {
        let told = self.told.get(&(node, volume))?;
        told.iter().rev().nth(back).cloned()
    }

    async fn call(&mut self, call: Call) {
        let failed = match call {
            Call::Create(volume) => self.create(volume).await.err(),
            Call::Publish(volume, node) => self.publish(volume, node).await.err(),
            Call::Unpublish(volume, node) => self.unpublish(volume, node).await.err(),
            Call::Delete(volume) => self.delete(volume).await.err(),
            Call::Expand(volume) => self.expand(volume).await.err(),
        };
        if let Some(error) = failed {
            let never = [Kind::Bug, Kind::Invalid, Kind::Misconfigured];
            assert!(!never.contains(&error.kind()), "{call:?}: {error:?}");
        }
    }

    async fn create(&mut self, volume: usize) -> Result<(), Error> {
        // Made before with another size, it is another volume.
        let id = match self.replica.create(&format!("v{volume}")).await {
            Err(error) if error.kind() == Kind::Incompatible => return Ok(()),
            answer => answer?,
        };
        assert_eq!(id, self.ids[volume]);
        assert!(self.bed.world().disk(id.as_str()).is_some(), "{volume}");
        Ok(())
    }

    async fn publish(&mut self, volume: usize, node: usize) -> Result<(), Error> {
        let id = &self.ids[volume];
        let told = self.replica.publish(id, &name(node)).await?;
        let disk = self.bed.world().disk(id.as_str()).expect("it is there");
        assert!(disk.exported, "{disk:?}");
        assert_eq!(told["nvme_nqn"], disk.subsystem_nqn);
        assert_eq!(told["nvme_hostnqn"], disk.allow_host_name);
        let holder = self.holders.insert(volume, node);
        let other = holder.is_some_and(|holder| holder != node);
        assert!(
            !other || self.disturbed,
            "v{volume} given to {node} while {holder:?} held it\n{}",
            self.bed.story()
        );
        self.told.entry((node, volume)).or_default().push(told);
        Ok(())
    }

    async fn unpublish(&mut self, volume: usize, node: usize) -> Result<(), Error> {
        // From here on the caller no longer counts on it.
        if self.holders.get(&volume) == Some(&node) {
            self.holders.remove(&volume);
        }
        let id = &self.ids[volume];
        self.replica.unpublish(id, &name(node)).await?;
        if let Some(disk) = self.bed.world().disk(id.as_str()) {
            let held = format!(":{}:", name(node));
            assert!(!disk.allow_host_name.contains(&held), "{disk:?}");
        }
        let machine = name(node);
        let sessions = self.bed.world().sessions();
        let left = sessions
            .iter()
            .find(|session| session.slot == id.as_str() && session.machine == machine.as_str());
        assert!(left.is_none(), "{left:?}");
        Ok(())
    }

    async fn delete(&mut self, volume: usize) -> Result<(), Error> {
        let id = &self.ids[volume];
        let held = self.holders.contains_key(&volume);
        self.replica.delete(id).await?;
        assert!(
            !held || self.disturbed,
            "v{volume} deleted while it was held"
        );
        self.holders.remove(&volume);
        let left = self.bed.holdings();
        assert!(
            left.iter().all(|one| !one.contains(id.as_str())),
            "{left:?}"
        );
        Ok(())
    }

    async fn expand(&mut self, volume: usize) -> Result<(), Error> {
        let id = &self.ids[volume];
        let size = self.replica.expand(id, 2 * GIB).await?;
        let disk = self.bed.world().disk(id.as_str()).expect("it is there");
        assert_eq!((disk.size, disk.size >= 2 * GIB), (size, true));
        Ok(())
    }

    /// With the faults gone, everything can be detached and deleted, and nothing is left.
    pub(crate) async fn take_down(mut self) {
        self.bed.sim.faults().clear();
        while let Some(late) = self.late.pop_front() {
            late.release(&self.bed).await;
        }
        for node in 0..NODES {
            self.machine(node).partition(false);
            self.machine(node).reconnect_now();
        }
        let replica = &self.replica;
        for id in &self.ids {
            let detached = insist(replica, || replica.unpublish_all(id)).await;
            detached.expect("it can be detached");
            let deleted = insist(replica, || replica.delete(id)).await;
            deleted.expect("it can be deleted");
        }
        assert_eq!(self.bed.holdings(), Vec::<String>::new());
        assert_eq!(self.bed.world().sessions(), []);
        self.bed.assert_one_writer("at the end");
    }
}
