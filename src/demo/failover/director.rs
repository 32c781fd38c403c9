//! Keeps the cluster going, looks at the RDS, and tells what it sees.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::show::{Show, Status};
use super::tally::{Failover, Tally};
use crate::workload::cluster::{Cluster, ClusterError, Replica};

/// Between two looks: short beside the fastest failover that is measured.
const TICK: Duration = Duration::from_millis(20);
/// kubelet waits before it starts a container again; this is a quick one.
const TEND_EVERY: Duration = Duration::from_millis(500);
/// How often people are told how things are.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Three processes of a debug build on a busy machine start within five seconds.
const START_LIMIT: Duration = Duration::from_secs(45);

/// Nobody leads yet and controllers keep ending: two rounds of three will not be followed by a third
/// that is better.
const HOPELESS: u64 = 6;

/// Why the demo cannot go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// Something is not as it must be; the tally says what.
    Violated,
    /// The demo itself failed.
    Broken(anyhow::Error),
}

/// Who runs the demo.
#[derive(Debug)]
pub(super) struct Director {
    pub(super) cluster: Cluster,
    pub(super) tally: Tally,
    pub(super) failovers: Vec<Failover>,
    pub(super) show: Show,
    pub(super) began: Instant,
    tended: Instant,
    told: Instant,
    /// Processes that were started again.
    pub(super) restarts: u64,
}

// === impl Halt ===

impl Halt {
    pub(super) fn broken(what: &'static str, error: impl Into<anyhow::Error>) -> Self {
        Self::Broken(error.into().context(what))
    }
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::broken("print", error)
    }
}

// === impl Director ===

impl Director {
    pub(super) async fn start(
        options: crate::workload::cluster::Options,
        show: Show,
    ) -> Result<Self, ClusterError> {
        let cluster = Cluster::start(options).await?;
        let now = Instant::now();
        Ok(Self {
            cluster,
            tally: Tally::default(),
            failovers: Vec::new(),
            show,
            began: now,
            tended: now,
            told: now,
            restarts: 0,
        })
    }

    /// Lets time pass.
    pub(super) async fn pass(&mut self, span: Duration) -> Result<(), Halt> {
        let start = Instant::now();
        while start.elapsed() < span {
            self.tick().await?;
        }
        Ok(())
    }

    /// Waits for a leader that serves; returns its pod.
    pub(super) async fn leader(&mut self) -> Result<String, Halt> {
        let start = Instant::now();
        loop {
            if let Some(pod) = self.cluster.ready().await {
                return Ok(pod);
            }
            let is_hopeless = self.failovers.is_empty() && self.restarts >= HOPELESS;
            if is_hopeless || start.elapsed() > START_LIMIT {
                let state = self.state_of("controller-0");
                let waited = start.elapsed();
                let error = anyhow::anyhow!("nobody serves after {waited:.1?}; {state}");
                return Err(Halt::Broken(error));
            }
            self.tick().await?;
        }
    }

    /// One look: at the processes, the RDS, and what is to be told.
    pub(super) async fn tick(&mut self) -> Result<(), Halt> {
        sleep(TICK).await;
        if self.tended.elapsed() >= TEND_EVERY {
            self.tended = Instant::now();
            let ended = self.cluster.tend().await;
            let ended = ended.map_err(|error| Halt::broken("start a controller again", error))?;
            for (pod, status) in ended {
                self.restarts += 1;
                self.say(&format!("{pod} had ended ({status}) and is started again"))?;
            }
        }
        while let Some(news) = self.tally.next_news() {
            self.say(&news)?;
        }
        if self.told.elapsed() >= STATUS_EVERY {
            self.told = Instant::now();
            let status = self.status();
            self.show.status(self.began.elapsed(), &status)?;
        }
        self.look()
    }

    /// Ends the demo if anything is not as it must be.
    pub(super) fn look(&mut self) -> Result<(), Halt> {
        let world = self.cluster.sim().world();
        let (second, replayed) = (world.second_writers().len(), world.replayed_writes().len());
        if second > 0 {
            self.tally.violation(format!("second writers: {second}"));
        }
        if replayed > 0 {
            self.tally.violation(format!("replayed writes: {replayed}"));
        }
        if self.tally.is_clean() {
            Ok(())
        } else {
            Err(Halt::Violated)
        }
    }

    pub(super) fn say(&mut self, what: &str) -> Result<(), Halt> {
        Ok(self.show.event(self.began.elapsed(), what)?)
    }

    pub(super) fn failed_over(&mut self, failover: Failover) -> Result<(), Halt> {
        self.show.failover(self.began.elapsed(), &failover)?;
        self.failovers.push(failover);
        Ok(())
    }

    /// What is known of a pod that does not do what it should.
    pub(super) fn state_of(&self, pod: &str) -> String {
        let mut replicas = self.cluster.replicas().iter();
        let log = replicas.find(|one| one.pod() == pod).map(Replica::log_tail);
        let log: &dyn Display = match &log {
            Some(log) => log,
            None => &"no such pod",
        };
        format!("lease {:?}; {pod} said:\n{log}", self.cluster.lease())
    }

    pub(super) fn status(&self) -> Status {
        let world = self.cluster.sim().world();
        let lease = self.cluster.lease().unwrap_or_default();
        let sessions = world.sessions();
        let writers: BTreeSet<String> = sessions
            .iter()
            .map(|session| session.machine.to_string())
            .collect();
        let granted = world.disks().into_iter().filter(|disk| disk.exported);
        Status {
            leader: lease.pod,
            epoch: lease.epoch,
            grants: granted.count(),
            writers: writers.into_iter().collect(),
            sums: self.tally.read(),
            second_writers: world.second_writers().len(),
            replayed_writes: world.replayed_writes().len(),
        }
    }
}
