//! A volume's stay on a node: attach, stage, write, and the ways to leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::tally::Tally;
use crate::sim::handle::Sim;
use crate::sim::initiator::{Machine, Written};
use crate::workload::placement::{Placement, PlacementError, Volume};

/// A failover takes 12 s at the default times; whoever waits three times as long, and then some for
/// a busy machine, is not served.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// Between two attempts to stage, and two looks at what must come by itself.
const RETRY: Duration = Duration::from_millis(50);
/// Where a volume's only writer writes.
const OFFSET: u64 = 0;

/// What a volume that moves needs.
#[derive(Clone, Debug)]
pub(super) struct Mover {
    pub(super) sim: Sim,
    pub(super) placement: Placement,
    pub(super) volume: Volume,
    pub(super) tally: Tally,
}

/// A stay of the volume on a node.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) mover: Mover,
    pub(super) machine: Arc<Machine>,
    pub(super) told: BTreeMap<String, String>,
    attachment: String,
}

/// Something is not as it must be; it is in the tally.
#[derive(Debug)]
pub(super) struct Violated;

// === impl Mover ===

impl Mover {
    /// Has the volume attached; the machine has done nothing yet.
    pub(super) async fn attach(&self, node: &str) -> Result<Visit, Violated> {
        let start = Instant::now();
        let attachment = self.ok(self.placement.attach(&self.volume, node).await)?;
        let told = self.placement.attached(&attachment, PATIENCE).await;
        let told = self.ok(told)?;
        self.tally.attached(start.elapsed());
        Ok(Visit {
            mover: self.clone(),
            machine: self.sim.machine(node),
            told,
            attachment,
        })
    }

    /// What the backing file holds, as `node #number`.
    pub(super) fn on_disk(&self) -> Option<String> {
        let stamp = self.sim.world().read_backing(&self.volume.handle, OFFSET)?;
        let stamp = String::from_utf8_lossy(stamp.as_bytes()).into_owned();
        let (node, number) = (stamp.split(':').next()?, stamp.rsplit(':').next()?);
        Some(format!("{node} #{number}"))
    }

    pub(super) fn violated(&self, what: &str) -> Violated {
        self.tally
            .violation(format!("{}: {what}", self.volume.name));
        Violated
    }

    fn ok<T>(&self, done: Result<T, PlacementError>) -> Result<T, Violated> {
        done.map_err(|error| self.violated(&error.to_string()))
    }
}

// === impl Visit ===

impl Visit {
    /// Stages as a node plugin does, as often as kubelet asks, each time with what the attachment
    /// says then.
    pub(super) async fn stage(&mut self) -> Result<(), Violated> {
        let start = Instant::now();
        loop {
            let Err(error) = self.machine.stage(&self.told) else {
                return Ok(());
            };
            if start.elapsed() > PATIENCE {
                let what = format!("{} cannot use what it was told: {error}", self.node());
                return Err(self.mover.violated(&what));
            }
            sleep(RETRY).await;
            let placement = &self.mover.placement;
            self.told = self
                .mover
                .ok(placement.attached(&self.attachment, PATIENCE).await)?;
        }
    }

    /// Writes, and looks whether it is there when the machine is told so. A write may wait while a
    /// new leader opens the grant again; it must arrive then.
    pub(super) async fn write(&self) -> Result<(), Violated> {
        match self.machine.write(&self.mover.volume.handle) {
            Written::Done => {}
            Written::Queued => self.drained().await?,
            Written::NoDevice => {
                let what = format!("{} lost its disk while it was attached", self.node());
                return Err(self.mover.violated(&what));
            }
        }
        self.mover.tally.wrote();
        let found = self.mover.on_disk().unwrap_or_default();
        if found.split(' ').next() == Some(self.node()) {
            return Ok(());
        }
        let what = format!("{} wrote, and on disk is {found:?}", self.node());
        Err(self.mover.violated(&what))
    }

    /// Leaves in order: unstage, then detach.
    pub(super) async fn leave(&self) -> Result<(), Violated> {
        self.drained().await?;
        self.machine.disconnect(&self.mover.volume.handle);
        self.detach().await
    }

    /// Detaches, whatever the machine is doing.
    pub(super) async fn detach(&self) -> Result<(), Violated> {
        let placement = &self.mover.placement;
        self.mover.ok(placement.detach(&self.attachment).await)?;
        let gone = placement.gone(&self.attachment, PATIENCE).await;
        self.mover.ok(gone)
    }

    pub(super) fn node(&self) -> &str {
        self.machine.name()
    }

    /// Writes of this volume that wait in the machine.
    pub(super) fn queued(&self) -> u64 {
        let view = self.machine.view();
        let heads = view.heads.iter();
        let ours = heads.filter(|head| head.slot == self.mover.volume.handle);
        ours.map(|head| head.queued as u64).sum()
    }

    async fn drained(&self) -> Result<(), Violated> {
        let start = Instant::now();
        while self.queued() > 0 {
            if start.elapsed() > PATIENCE {
                let what = format!("{} cannot write although it is attached", self.node());
                return Err(self.mover.violated(&what));
            }
            sleep(RETRY).await;
        }
        Ok(())
    }
}
