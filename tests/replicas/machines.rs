//! Machines that write without a pause: one to a volume that stays, two to one that moves.

use std::sync::Arc;
use std::time::Duration;

use rds_csi::sim::handle::Sim;
use rds_csi::sim::initiator::{Kernel, Machine, MachineConfig, PublishContext};
use rds_csi::workload::cluster::Cluster;
use rds_csi::workload::placement::{Placement, Volume};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::rig::{HANG, POLL};

/// Where the volume stays that stays.
pub(crate) const STAYS: &str = "node-c";
/// Between which the other one moves.
const MOVES: [&str; 2] = ["node-a", "node-b"];
const WRITE_EVERY: Duration = Duration::from_millis(10);
/// Writes of one attachment before the next.
const WRITES: u64 = 5;
/// The machine keeps asking for what it lost, as older kernels do, and asks often.
const RECONNECT: Duration = Duration::from_millis(100);

/// A volume that moves from machine to machine and back.
pub(crate) struct Traffic {
    /// When it was last attached.
    last: watch::Receiver<Option<Instant>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The machines behind the cluster's nodes.
pub(crate) fn boot(cluster: &Cluster) {
    for name in MOVES.into_iter().chain([STAYS]) {
        let config = MachineConfig {
            reconnect_delay: RECONNECT,
            ..MachineConfig::new(name, Kernel::V6_1)
        };
        cluster.sim().add_machine(config);
        cluster.sim().run_machine(name);
    }
}

/// Attaches a volume where it stays, and has it written to.
pub(crate) async fn settle(cluster: &Cluster, volume: &Volume) {
    let placement = cluster.placement();
    let name = placement.attach(volume, STAYS).await.unwrap();
    let told = placement.attached(&name, HANG).await.unwrap();
    let machine = cluster.sim().machine(STAYS);
    stage(&machine, &told).await;
    cluster
        .sim()
        .keep_writing(STAYS, &volume.handle, Some(WRITE_EVERY));
    written(&machine).await;
}

// === impl Traffic ===

impl Traffic {
    pub(crate) fn start(cluster: &Cluster, volume: Volume) -> Self {
        let (tell, last) = watch::channel(None);
        let stop = CancellationToken::new();
        let mover = Mover {
            sim: cluster.sim().clone(),
            placement: cluster.placement().clone(),
            volume,
            tell,
            stop: stop.clone(),
        };
        let task = tokio::spawn(mover.run());
        Self { last, stop, task }
    }

    /// When it was attached, the first time after `since` that somebody sees.
    pub(crate) async fn attached_after(&self, since: Instant) -> Instant {
        let mut last = self.last.clone();
        let attached = last.wait_for(|last| last.is_some_and(|at| at > since));
        let attached = timeout(HANG, attached).await;
        attached.expect("the volume moves").unwrap().unwrap()
    }

    /// Stops once it is attached and written to.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        timeout(HANG, &mut self.task)
            .await
            .expect("it ends")
            .unwrap();
    }
}

struct Mover {
    sim: Sim,
    placement: Placement,
    volume: Volume,
    tell: watch::Sender<Option<Instant>>,
    stop: CancellationToken,
}

// === impl Mover ===

impl Mover {
    async fn run(self) {
        let slot = &self.volume.handle;
        for turn in 0.. {
            let node = MOVES[turn % 2];
            let name = self.placement.attach(&self.volume, node).await.unwrap();
            let told = self.placement.attached(&name, HANG).await.unwrap();
            self.tell.send_replace(Some(Instant::now()));
            let machine = self.sim.machine(node);
            stage(&machine, &told).await;
            self.sim.keep_writing(node, slot, Some(WRITE_EVERY));
            written(&machine).await;
            if self.stop.is_cancelled() {
                return;
            }
            // Half of the time the node is not asked: it goes on writing, and asks to be let in.
            if turn % 4 < 2 {
                self.sim.keep_writing(node, slot, None);
                machine.disconnect(slot);
            }
            self.placement.detach(&name).await.unwrap();
            self.placement.gone(&name, HANG).await.unwrap();
        }
    }
}

/// NodeStage, as often as kubelet asks for it: the RDS may be off for a while.
async fn stage(machine: &Machine, told: &PublishContext) {
    until("stage", || machine.stage(told).is_ok()).await;
}

async fn written(machine: &Arc<Machine>) {
    let enough = machine.view().done + WRITES;
    until("write", || machine.view().done >= enough).await;
}

async fn until(what: &str, is_it: impl Fn() -> bool) {
    let look = async {
        let mut ticks = interval(POLL);
        while !is_it() {
            ticks.tick().await;
        }
    };
    let done = timeout(HANG, look).await;
    assert!(done.is_ok(), "the machine does not {what}");
}
