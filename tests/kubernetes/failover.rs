//! One failover: what was there before, what is done, and what came of it.

use std::fmt;
use std::sync::Arc;

use rds_csi::workload::cluster::Blow;
use rds_csi::workload::way::Condition;
use testbed::bed::Bed;
use testbed::pod::Pod;
use testbed::trouble::Trouble;
use testbed::workload::LONG;
use tokio::time::Instant;

use crate::crowd::Crowd;

/// What can happen to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// SIGKILL to the driver; its container is started again in the same pod.
    Killed,
    /// The pod is deleted: its preStop hook drains it.
    Deleted,
    /// The pod is gone and nobody was told; a new one comes when another leads.
    Vanished,
    /// SIGSTOP to the driver until another one leads.
    Frozen,
    /// The driver's way to the RDS is cut until another one leads.
    WithoutRds(Condition),
    /// The pod's way to the API is cut until another one leads.
    WithoutApi(Condition),
}

/// A failover that has happened.
pub(crate) struct Failover {
    fate: Fate,
    old: Arc<Pod>,
    new: Arc<Pod>,
    /// How often the old leader's driver had been started before.
    lives: u32,
}

// === impl Fate ===

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => f.write_str("killed"),
            Self::Deleted => f.write_str("pod deleted"),
            Self::Vanished => f.write_str("pod gone"),
            Self::Frozen => f.write_str("frozen"),
            Self::WithoutRds(how) => write!(f, "way to the RDS {how:?}"),
            Self::WithoutApi(how) => write!(f, "way to the API {how:?}"),
        }
    }
}

// === impl Failover ===

impl Failover {
    /// Does it to whoever leads, waits until another process leads, and notes how long that took; with
    /// a crowd that is coming, until the next volume is attached for it, too.
    pub(crate) async fn run(
        bed: &Bed,
        fate: Fate,
        crowd: Option<&Crowd<'_>>,
    ) -> Result<Self, Trouble> {
        let deployment = bed.deployment();
        let old = deployment.leader(LONG).await?;
        let lives = old.driver()?.lives();
        let before = deployment.lease().await?;
        let start = Instant::now();
        let strike = async {
            match fate {
                Fate::Killed => old.hit(Blow::Kill)?,
                Fate::Deleted => drop(deployment.delete(&old).await?),
                Fate::Vanished => deployment.vanish(&old).await,
                Fate::Frozen => old.hit(Blow::Freeze)?,
                Fate::WithoutRds(condition) => old.rds_way().set(condition),
                Fate::WithoutApi(condition) => old.api_way().set(condition),
            }
            Ok::<(), Trouble>(())
        };
        let wait = async {
            let new = deployment.taken_over(&before, LONG).await?;
            let took = start.elapsed();
            let by = if new.uid() == old.uid() {
                "the same pod"
            } else {
                "another pod"
            };
            let value = format!("{took:.2?}, {by}");
            bed.note(format!("{fate}: ready after"), value);
            if let Some(crowd) = crowd {
                let there = crowd.attached(0, LONG).await?;
                let wanted = crowd.size().min(there + 1);
                let there = crowd.attached(wanted, LONG).await?;
                let took = start.elapsed();
                let value = format!("{took:.2?}, then {there} are attached");
                bed.note(format!("{fate}: next attach after"), value);
            }
            Ok(new)
        };
        let ((), new) = tokio::try_join!(strike, wait)?;
        Ok(Self {
            fate,
            old,
            new,
            lives,
        })
    }

    /// Who led before.
    pub(crate) fn old(&self) -> &Pod {
        &self.old
    }

    /// Who leads.
    pub(crate) fn new_leader(&self) -> &Pod {
        &self.new
    }

    /// Undoes what can be undone, and returns when there are as many replicas as before, all of them
    /// running.
    pub(crate) async fn heal(&self, bed: &Bed) -> Result<(), Trouble> {
        match self.fate {
            Fate::Deleted => return Ok(()),
            Fate::Vanished => return bed.deployment().add().await.map(drop),
            Fate::Killed => {}
            Fate::Frozen => self.old.hit(Blow::Thaw)?,
            Fate::WithoutRds(_) => self.old.rds_way().set(Condition::Open),
            Fate::WithoutApi(_) => self.old.api_way().set(Condition::Open),
        }
        self.old.driver()?.started(self.lives + 1, LONG).await
    }
}
