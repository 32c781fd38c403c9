//! One cluster with a volume that moves from node to node at every failover, and what is done to it.
//!
//! The volume is unpublished from one node before the signal, and wanted on another one during the
//! failover. The machines of both write to it whenever they can, so that a leader that lets in two,
//! or the same one twice, is seen by the simulated RDS.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::stream::{FuturesUnordered, StreamExt as _};
use rds_csi::sim::world::World;
use rds_csi::workload::cluster::Blow;
use rds_csi::workload::placement::Volume;
use tokio::time::{Instant, sleep, timeout};

use super::bed::Bed;
use super::driver::Driver;
use super::kind::Kind;
use super::objects::{self, Stage};

/// The nodes that the volume moves between: names that the cluster gives.
const NODES: [&str; 2] = ["node-a", "node-b"];
const GIB: i64 = 1 << 30;
const WRITE_EVERY: Duration = Duration::from_millis(10);
/// Making a volume is one of the things that a cluster that is calm does in no time.
const CREATE_LIMIT: Duration = Duration::from_secs(30);
/// Leaders renew every 2 s, and what a follower waits for counts from the last renewal: the signal
/// comes at any moment between two of them.
const PHASE_MS: u64 = 2_000;
/// A process has to have led for 60 s before its successor in the same pod may follow it at once, and
/// what counts is its last renewal, which may be 2 s old.
const LED_FOR: Duration = Duration::from_secs(63);
/// Longer than any failover takes at these times: 10.5 s and what a debug build needs.
const SAMPLE_LIMIT: Duration = Duration::from_mins(1);
/// A leader that is asked to ends at once; one that wakes up and has been deposed within 1 s.
const END_LIMIT: Duration = Duration::from_secs(20);

/// A cluster, and where its volume is.
pub(crate) struct Subject {
    bed: Bed,
    volume: Volume,
    /// Counts the moves.
    moves: usize,
}

/// One failover, in time from the signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// To the first Probe that says ready.
    pub(crate) ready: Duration,
    /// To the first ControllerPublishVolume that succeeds.
    pub(crate) publish: Duration,
    /// Whether the pod of the old leader is the one that leads.
    pub(crate) same_pod: bool,
}

// === impl Subject ===

impl Subject {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut bed = Bed::start().await?;
        let leader = bed.calm().await?;
        let provisioner = bed.cluster.provisioner();
        let volume = provisioner.create("pv-1", GIB, false, CREATE_LIMIT).await?;
        objects::volume(bed.cluster.api(), &volume)?;
        for node in NODES {
            bed.cluster.sim().machine(node);
            bed.cluster.sim().run_machine(node);
        }
        let driver = bed.driver(&leader.pod)?;
        let mut subject = Self {
            bed,
            volume,
            moves: 0,
        };
        let node = subject.node();
        objects::attach(
            subject.bed.cluster.api(),
            &subject.volume,
            node,
            Stage::Asked,
        )?;
        let told = driver.publish(&subject.volume, node).await?;
        subject.arrive(&told)?;
        Ok(subject)
    }

    pub(crate) fn world(&self) -> &World {
        self.bed.cluster.sim().world()
    }

    pub(crate) async fn end(self) {
        self.bed.cluster.shutdown().await;
    }

    fn node(&self) -> &'static str {
        let [first, second] = NODES;
        if self.moves.is_multiple_of(2) {
            first
        } else {
            second
        }
    }

    /// One failover, and everything as it was before.
    pub(crate) async fn sample(&mut self, kind: Kind) -> anyhow::Result<Sample> {
        let leader = self.bed.calm().await?;
        if kind == Kind::Crash {
            sleep(LED_FOR.saturating_sub(leader.since.elapsed())).await;
        }
        self.depart(&leader.pod).await?;
        let node = self.node();
        objects::attach(self.bed.cluster.api(), &self.volume, node, Stage::Asked)?;
        sleep(Duration::from_millis(rand::random_range(0..PHASE_MS))).await;

        let mut candidates = self.bed.drivers()?;
        candidates.retain(|(pod, _)| kind == Kind::Crash || *pod != leader.pod);
        let signalled = Instant::now();
        self.bed.replica(&leader.pod)?.hit(kind.blow())?;
        if kind == Kind::Crash {
            self.bed.restart(&leader.pod).await?;
        }
        let won = first(&candidates, &self.volume, node, signalled);
        let Ok(won) = timeout(SAMPLE_LIMIT, won).await else {
            anyhow::bail!("nobody serves within {SAMPLE_LIMIT:?}\n{}", self.bed.logs());
        };
        let (sample, winner, told) = won.context("there is nobody to take over")?;
        self.arrive(&told)?;
        let same_pod = winner == leader.pod;
        self.heal(kind, &leader.pod, &winner).await?;
        Ok(Sample { same_pod, ..sample })
    }

    /// The node of the volume stops using it, and another one is to have it.
    async fn depart(&mut self, leader: &str) -> anyhow::Result<()> {
        let node = self.node();
        let (cluster, handle) = (&self.bed.cluster, &self.volume.handle);
        cluster.sim().keep_writing(node, handle, None);
        cluster.sim().machine(node).disconnect(handle);
        objects::attach(cluster.api(), &self.volume, node, Stage::Leaving)?;
        let driver = self.bed.driver(leader)?;
        driver.unpublish(&self.volume, node).await?;
        objects::detach(self.bed.cluster.api(), &self.volume, node);
        self.moves += 1;
        Ok(())
    }

    /// The node begins to use it.
    fn arrive(&mut self, told: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let (cluster, handle, node) = (&self.bed.cluster, &self.volume.handle, self.node());
        objects::attach(cluster.api(), &self.volume, node, Stage::Attached(told))?;
        let staged = cluster.sim().machine(node).stage(told);
        staged.with_context(|| format!("{node} cannot use what it was told: {told:?}"))?;
        cluster.sim().keep_writing(node, handle, Some(WRITE_EVERY));
        Ok(())
    }

    async fn heal(&mut self, kind: Kind, victim: &str, winner: &str) -> anyhow::Result<()> {
        self.bed.forget_leader();
        match kind {
            Kind::Gone => self.bed.replace(victim).await,
            Kind::Term => {
                self.ended(victim).await?;
                self.bed.replace(victim).await
            }
            Kind::Freeze => {
                self.bed.replica(victim)?.hit(Blow::Thaw)?;
                self.ended(victim).await?;
                self.bed.restart(victim).await
            }
            // A pod may take the short cut once in ten minutes, and its successor has a lock of its
            // own.
            Kind::Crash => {
                self.bed.calm().await?;
                self.bed.forget_leader();
                self.bed.replica(winner)?.hit(Blow::Terminate)?;
                self.ended(winner).await?;
                self.bed.replace(winner).await
            }
        }
    }

    async fn ended(&mut self, pod: &str) -> anyhow::Result<()> {
        let ended = self.bed.replica(pod)?.ended(END_LIMIT).await;
        ensure!(ended.is_some(), "{pod} does not end\n{}", self.bed.logs());
        Ok(())
    }
}

/// Asks all of them, each for itself: Probe until it says ready, then Publish until it succeeds.
async fn first(
    candidates: &[(String, Driver)],
    volume: &Volume,
    node: &str,
    signalled: Instant,
) -> Option<(Sample, String, BTreeMap<String, String>)> {
    let ready = OnceLock::new();
    let ready = &ready;
    let mut asked: FuturesUnordered<_> = candidates
        .iter()
        .map(|(pod, driver)| async move {
            driver.ready().await;
            let ready = *ready.get_or_init(|| signalled.elapsed());
            let told = driver.insist(volume, node).await;
            let sample = Sample {
                ready,
                publish: signalled.elapsed(),
                same_pod: false,
            };
            (sample, pod.clone(), told)
        })
        .collect();
    asked.next().await
}
