//! One cluster with two volumes, and what is done to it.
//!
//! One volume moves at every failover: it is unpublished from one node before the signal, and waits for
//! another one. The other volume stays where it is and is published there again, as after an answer
//! that was lost with the leader. The machines of all nodes write whenever they can, so that a leader
//! that lets in two, or the wrong one, is seen by the simulated RDS.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::stream::{FuturesUnordered, StreamExt as _};
use rds_csi::sim::world::World;
use rds_csi::workload::cluster::Blow;
use rds_csi::workload::placement::Volume;
use rds_csi::workload::provisioner::Provisioner;
use tokio::time::{Instant, sleep, timeout};

use super::bed::Bed;
use super::driver::Driver;
use super::kind::Kind;
use super::objects::{self, Stage};

/// The nodes that the one volume moves between: names that the cluster gives.
const NODES: [&str; 2] = ["node-a", "node-b"];
/// Where the other one stays.
const HOME: &str = "node-c";
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

/// A cluster, and where its volumes are.
pub(crate) struct Subject {
    bed: Bed,
    volumes: Volumes,
    /// Counts the moves.
    moves: usize,
}

struct Volumes {
    moving: Volume,
    resting: Volume,
}

/// One failover, in time from the signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// To the first Probe that says ready.
    pub(crate) ready: Duration,
    /// To the first ControllerPublishVolume that succeeds for the volume that rests.
    pub(crate) again: Duration,
    /// To the first one that succeeds for the volume that moves.
    pub(crate) moved: Duration,
    /// Whether the pod of the old leader is the one that leads.
    pub(crate) same_pod: bool,
}

// === impl Subject ===

impl Subject {
    pub(crate) async fn start(latency: Duration) -> anyhow::Result<Self> {
        let mut bed = Bed::start(latency).await?;
        let leader = bed.calm().await?;
        let provisioner = bed.cluster.provisioner();
        let volumes = Volumes {
            moving: make(&provisioner, "pv-moving").await?,
            resting: make(&provisioner, "pv-resting").await?,
        };
        let driver = bed.driver(&leader.pod)?;
        let subject = Self {
            bed,
            volumes,
            moves: 0,
        };
        let Volumes { moving, resting } = &subject.volumes;
        for (volume, node) in [(moving, subject.node()), (resting, HOME)] {
            let cluster = &subject.bed.cluster;
            objects::volume(cluster.api(), volume)?;
            objects::attach(cluster.api(), volume, node, Stage::Asked)?;
            let told = driver.publish(volume, node).await?;
            subject.arrive(volume, node, &told)?;
        }
        for node in NODES.into_iter().chain([HOME]) {
            subject.bed.cluster.sim().machine(node);
            subject.bed.cluster.sim().run_machine(node);
        }
        Ok(subject)
    }

    pub(crate) fn world(&self) -> &World {
        self.bed.cluster.sim().world()
    }

    pub(crate) async fn end(self) {
        self.bed.cluster.shutdown().await;
    }

    /// Where the volume that moves is, or is to be.
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
        let (api, moving) = (self.bed.cluster.api(), &self.volumes.moving);
        objects::attach(api, moving, self.node(), Stage::Asked)?;
        sleep(Duration::from_millis(rand::random_range(0..PHASE_MS))).await;

        let mut candidates = self.bed.drivers()?;
        candidates.retain(|(pod, _)| kind == Kind::Crash || *pod != leader.pod);
        let signalled = Instant::now();
        self.bed.replica(&leader.pod)?.hit(kind.blow())?;
        if kind == Kind::Crash {
            self.bed.restart(&leader.pod).await?;
        }
        let won = first(&candidates, &self.volumes, self.node(), signalled);
        let Ok(won) = timeout(SAMPLE_LIMIT, won).await else {
            bail!("nobody serves within {SAMPLE_LIMIT:?}\n{}", self.bed.logs());
        };
        let (sample, winner, told) = won.context("there is nobody to take over")?;
        self.arrive(&self.volumes.moving, self.node(), &told)?;
        let same_pod = winner == leader.pod;
        self.heal(kind, &leader.pod, &winner).await?;
        Ok(Sample { same_pod, ..sample })
    }

    /// The node of the volume that moves stops using it, and another one is to have it.
    async fn depart(&mut self, leader: &str) -> anyhow::Result<()> {
        let (node, driver) = (self.node(), self.bed.driver(leader)?);
        let (cluster, volume) = (&self.bed.cluster, &self.volumes.moving);
        cluster.sim().keep_writing(node, &volume.handle, None);
        cluster.sim().machine(node).disconnect(&volume.handle);
        objects::attach(cluster.api(), volume, node, Stage::Leaving)?;
        driver.unpublish(volume, node).await?;
        objects::detach(cluster.api(), volume, node);
        self.moves += 1;
        Ok(())
    }

    /// A node begins to use a volume.
    fn arrive(
        &self,
        volume: &Volume,
        node: &str,
        told: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let cluster = &self.bed.cluster;
        objects::attach(cluster.api(), volume, node, Stage::Attached(told))?;
        let staged = cluster.sim().machine(node).stage(told);
        staged.with_context(|| format!("{node} cannot use what it was told: {told:?}"))?;
        let handle = &volume.handle;
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

async fn make(provisioner: &Provisioner, name: &str) -> anyhow::Result<Volume> {
    Ok(provisioner.create(name, GIB, false, CREATE_LIMIT).await?)
}

/// Asks all of them, each for itself: Probe until it says ready, then Publish until it succeeds.
async fn first(
    candidates: &[(String, Driver)],
    volumes: &Volumes,
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
            let again = async {
                driver.insist(&volumes.resting, HOME).await;
                signalled.elapsed()
            };
            let moved = async {
                let told = driver.insist(&volumes.moving, node).await;
                (told, signalled.elapsed())
            };
            let (again, (told, moved)) = tokio::join!(again, moved);
            let sample = Sample {
                ready,
                again,
                moved,
                same_pod: false,
            };
            (sample, pod.clone(), told)
        })
        .collect();
    asked.next().await
}
