//! A cluster without sidecars, and when it is calm enough for something to be done to it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rds_csi::sim::handle::SimConfig;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::transport::Transport;
use rds_csi::workload::cluster::{Cluster, Options, Replica};
use tokio::time::{Instant, sleep, timeout};

use super::driver::Driver;

/// Followers look at the Lease every 2 s, so after this they know what they have to know.
const CALM: Duration = Duration::from_secs(3);
/// Electing takes 10.5 s, and starting 3 debug builds on a busy machine some seconds more.
const CALM_LIMIT: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What every replica watches.
const WATCHED: [&str; 4] = [
    "volumeattachments",
    "persistentvolumes",
    "csinodes",
    "nodes",
];

/// Three controllers, a simulated RDS, the Kubernetes API. Dropping it ends all of them.
pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    /// How many watches of each kind must have begun until the mirrors of all replicas are warm.
    watches: [u64; 4],
    leader: Option<Leader>,
}

/// Who serves.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) pod: String,
    /// When it was first seen to.
    pub(crate) since: Instant,
}

// === impl Bed ===

impl Bed {
    /// Starts everything, with the controller's default times and an RDS that waits for so long
    /// before each line. Nobody leads yet.
    pub(crate) async fn start(latency: Duration) -> anyhow::Result<Self> {
        let transport = Transport {
            latency_ms: u64::try_from(latency.as_millis()).context("a latency")?,
            ..Transport::default()
        };
        let options = Options {
            sim: SimConfig {
                transport,
                ..SimConfig::default()
            },
            sidecars: false,
            locks: Some(PathBuf::from("/dev/shm")),
            ..Options::of(PathBuf::from(env!("CARGO_BIN_EXE_rds-csi")))
        };
        let cluster = Cluster::start(options).await?;
        let watches = [cluster.replicas().len() as u64; 4];
        Ok(Self {
            cluster,
            watches,
            leader: None,
        })
    }

    /// The replica of this pod.
    pub(crate) fn replica(&mut self, pod: &str) -> anyhow::Result<&mut Replica> {
        let replica = self.cluster.replica_mut(pod);
        replica.with_context(|| format!("there is no pod {pod}"))
    }

    /// Whoever serves, and every replica's socket by its pod.
    pub(crate) fn drivers(&self) -> anyhow::Result<Vec<(String, Driver)>> {
        let replicas = self.cluster.replicas().iter();
        replicas
            .map(|one| Ok((one.pod().to_owned(), Driver::new(&one.socket())?)))
            .collect()
    }

    /// The socket of this pod.
    pub(crate) fn driver(&mut self, pod: &str) -> anyhow::Result<Driver> {
        Driver::new(&self.replica(pod)?.socket())
    }

    /// A process begins: its mirror is to become warm.
    fn expect_start(&mut self) {
        let begun = self.begun();
        for (expected, begun) in self.watches.iter_mut().zip(begun) {
            *expected = begun.max(*expected) + 1;
        }
    }

    /// Another pod in the place of this one, whose process need not have ended.
    pub(crate) async fn replace(&mut self, pod: &str) -> anyhow::Result<()> {
        self.expect_start();
        Ok(self.replica(pod)?.replace().await?)
    }

    /// The process again, in the same pod.
    pub(crate) async fn restart(&mut self, pod: &str) -> anyhow::Result<()> {
        self.expect_start();
        Ok(self.replica(pod)?.restart().await?)
    }

    fn begun(&self) -> [u64; 4] {
        WATCHED.map(|resource| self.cluster.api().requests(Verb::Watch, resource))
    }

    /// Waits until one replica serves, the others say that they do not, all have seen the cluster as
    /// it is, and have had a moment to come to rest.
    pub(crate) async fn calm(&mut self) -> anyhow::Result<Leader> {
        let drivers = self.drivers()?;
        let look = async {
            loop {
                let mut ready = Vec::new();
                let mut asleep = 0;
                for (pod, driver) in &drivers {
                    match driver.probe().await {
                        Some(true) => ready.push(pod.clone()),
                        Some(false) => {}
                        None => asleep += 1,
                    }
                }
                let held = self.cluster.lease().and_then(|lease| lease.pod);
                let begun = self.begun();
                let warm = begun
                    .iter()
                    .zip(self.watches)
                    .all(|(&has, must)| has >= must);
                match (ready.as_slice(), held) {
                    ([pod], Some(held)) if *pod == held && asleep == 0 && warm => return held,
                    _ => sleep(LOOK_EVERY).await,
                }
            }
        };
        let Ok(pod) = timeout(CALM_LIMIT, look).await else {
            bail!("no calm within {CALM_LIMIT:?}\n{}", self.logs());
        };
        let since = match &self.leader {
            Some(leader) if leader.pod == pod => leader.since,
            Some(_) | None => Instant::now(),
        };
        let leader = Leader { pod, since };
        self.leader = Some(leader.clone());
        sleep(CALM).await;
        Ok(leader)
    }

    /// Whoever serves now is another process than before, if it is the same pod.
    pub(crate) fn forget_leader(&mut self) {
        self.leader = None;
    }

    /// What all replicas said last.
    pub(crate) fn logs(&self) -> String {
        let logs = self.cluster.replicas().iter();
        let logs = logs.map(|one| format!("=== {}\n{}", one.pod(), one.log_tail()));
        logs.collect::<Vec<_>>().join("\n")
    }
}
