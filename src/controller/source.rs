//! What a replica tells about itself: to probes, to `rds-csi status` and to `rds-csi explain`. Who
//! looks from outside is told by the same code.

mod explain;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::report::{self, Explanation, Role, StatusReport};
use crate::admin::{Health, Source};
use crate::controller::meters::Meters;
use crate::controller::vital::Vital;
use crate::domain::election::{Change, HolderId, Standing};
use crate::domain::error::{Error, Kind};
use crate::domain::id::VolumeId;
use crate::domain::leadership::{BootTime, Epoch};
use crate::k8s::cluster::KubeCluster;
use crate::k8s::events::{KubeEvents, PvcLookup};
use crate::metrics::exposition::Form;
use crate::ports::Clock;
use crate::service::election::heartbeat::Heartbeat;
use crate::service::{Load, Overview, Volumes};

/// A Lease that its leader has not renewed for so long is not about to be: the longest lease that
/// can be configured.
const STALE: Duration = Duration::from_mins(1);

/// One replica, a standalone controller, or nobody but the API and the RDS, for whoever asks.
pub(super) struct Desk {
    pub(super) driver: String,
    /// The name of the pod; none from outside.
    pub(super) instance: Option<String>,
    pub(super) rds: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) volumes: Volumes,
    pub(super) kubernetes: Option<Side>,
    /// What a scraper is shown; nothing from outside.
    pub(super) meters: Option<Meters>,
    /// Beats with every answer of our own CSI server.
    pub(super) pulse: Heartbeat,
    /// Cancelled by who wants it drained.
    pub(super) drain: CancellationToken,
    /// Cancelled when it is.
    pub(super) drained: CancellationToken,
}

/// The Kubernetes side.
pub(super) struct Side {
    pub(super) lease: watch::Receiver<Option<Change>>,
    pub(super) cluster: Arc<KubeCluster>,
    /// `None` from outside.
    pub(super) part: Option<Part>,
}

/// The part that a replica has in it.
pub(super) struct Part {
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) events: Arc<KubeEvents>,
    /// Beats with every turn of the election.
    pub(super) pulse: Heartbeat,
}

// === impl Desk ===

impl Desk {
    fn role(&self) -> Role {
        if self.drain.is_cancelled() {
            return Role::Draining;
        }
        let Some(side) = &self.kubernetes else {
            return Role::Standalone;
        };
        let Some(part) = &side.part else {
            return Role::Outside;
        };
        match &*part.standing.borrow() {
            Standing::Following { .. } => Role::Standby,
            Standing::Leading(_) if self.volumes.ready() => Role::Leader,
            Standing::Elected(_) | Standing::Leading(_) => Role::Rebuilding,
            Standing::Offering => Role::Offering,
            Standing::Ended(_) => Role::Draining,
        }
    }

    fn drift(&self, overview: &Overview) -> Vec<report::Drift> {
        let findings = overview.findings.iter().map(|finding| report::Drift {
            volume: finding.volume.to_string(),
            what: finding.what.to_owned(),
            age_ms: self.since(finding.since),
        });
        let now = self.clock.unix_seconds();
        let orphans = overview.orphans.iter().map(|orphan| {
            let age = orphan.since.map_or(0, |since| now.saturating_sub(since));
            report::Drift {
                volume: orphan.volume.to_string(),
                what: format!(
                    "no PersistentVolume has it ({} bytes); it is never deleted by this driver",
                    orphan.size
                ),
                age_ms: age.saturating_mul(1000),
            }
        });
        findings.chain(orphans).collect()
    }

    /// A standalone controller has nowhere to post them.
    fn events(&self) -> report::Events {
        let part = self.kubernetes.as_ref().and_then(|side| side.part.as_ref());
        let tally = part.map(|part| part.events.tally()).unwrap_or_default();
        report::Events {
            posted: tally.posted,
            dropped: tally.dropped,
            failed: tally.failed,
        }
    }

    fn since(&self, moment: BootTime) -> u64 {
        millis(moment.until(self.clock.boot()))
    }

    /// The id of a volume, or the name of its claim: `[namespace/]name`.
    fn find(&self, query: &str) -> Result<VolumeId, Error> {
        if let Ok(id) = query.parse() {
            return Ok(id);
        }
        let (namespace, name) = query.split_once('/').unwrap_or(("default", query));
        let side = self.kubernetes.as_ref().ok_or_else(|| {
            Error::invalid(format!("{query} is no volume id, and a standalone controller knows no PersistentVolumeClaims"))
        })?;
        if !side.cluster.counts().whole {
            return Err(Error::new(
                Kind::Unavailable,
                format!(
                    "which volume {query} has is not known before all PersistentVolumes, VolumeAttachments, CSINodes and Nodes were listed once; ask again in a moment, or with the id of the volume"
                ),
            ));
        }
        side.cluster.volume_of(namespace, name).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("no PersistentVolume of this driver is bound to a PersistentVolumeClaim {namespace}/{name}"),
            )
        })
    }
}

#[async_trait]
impl Source for Desk {
    fn live(&self) -> Health {
        let part = self.kubernetes.as_ref().and_then(|side| side.part.as_ref());
        let vital = Vital {
            is_ending: self.role() == Role::Draining,
            ran_out: !self.volumes.may_answer(),
            election: part.map(|part| part.pulse.quiet_for()),
            calls: self.pulse.quiet_for(),
        };
        vital.health()
    }

    fn ready(&self) -> (Role, Health) {
        let role = self.role();
        let health = match role {
            Role::Standby => match self.kubernetes.as_ref().map(|side| side.lease.borrow().clone()) {
                Some(Some(change)) if change.at.until(self.clock.boot()) < STALE => Health::Good,
                Some(Some(_)) => Health::Bad("the Lease has not changed for a minute, and this replica has not taken it; look at its log for calls on the Lease that fail".to_owned()),
                Some(None) | None => Health::Bad("the Lease has not been seen yet".to_owned()),
            },
            Role::Leader
            | Role::Standalone
            | Role::Rebuilding
            | Role::Offering
            | Role::Draining
            | Role::Outside => {
                match self.volumes.overview().not_ready {
                    None => Health::Good,
                    Some(why) => Health::Bad(why),
                }
            }
        };
        (role, health)
    }

    fn status(&self) -> StatusReport {
        let overview = self.volumes.overview();
        let role = self.role();
        let side = self.kubernetes.as_ref();
        let lease = side.and_then(|side| side.lease.borrow().clone());
        let epoch = overview.epoch.or(lease.as_ref().map(|lease| lease.epoch));
        let holder = lease.as_ref().and_then(|lease| lease.holder.as_ref());
        let is_outside = role == Role::Outside;
        // These keep no books on the volumes, or no longer: nothing is not zero.
        let keeps_books = !(is_outside || role == Role::Standby || self.drained.is_cancelled());
        let (last_answer, reachable) = overview.answered;
        let now = self.clock.unix_seconds();
        StatusReport {
            driver: self.driver.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.clone(),
            role,
            ready: overview.not_ready.is_none(),
            not_ready_because: overview.not_ready.clone(),
            holder: holder.map(HolderId::to_string),
            epoch: epoch.map(Epoch::digits),
            lease_age_ms: lease.as_ref().map(|lease| self.since(lease.at)),
            deadline_ms: overview.remaining.map(millis),
            fencing: overview.fencing.map(|mode| report::Fencing {
                mode: mode.as_str().to_owned(),
                verified: false,
            }),
            rds: report::Rds {
                address: self.rds.clone(),
                reachable,
                incarnation: (!is_outside).then_some(overview.incarnation),
                last_answer_ms: last_answer.map(|at| self.since(at)),
            },
            shards: (!is_outside).then(|| overview.load.iter().map(shard).collect()),
            attachments: keeps_books.then(|| attachments(&overview)),
            drift: keeps_books.then(|| self.drift(&overview)),
            events: (!is_outside).then(|| self.events()),
            last_decision: overview
                .last_decision
                .as_ref()
                .map(|one| explain::decision(one, now)),
        }
    }

    fn metrics(&self, form: Form) -> String {
        self.scrape(form)
    }

    async fn explain(&self, query: &str) -> Result<Explanation, Error> {
        let id = self.find(query)?;
        let account = self.volumes.account(&id).await?;
        let side = self.kubernetes.as_ref();
        let pvc = side.and_then(|side| side.cluster.pvc_of(&id));
        let now = self.clock.unix_seconds();
        Ok(explain::explanation(&id, &account, pvc.as_ref(), now))
    }

    async fn drain(&self) {
        self.drain.cancel();
        self.drained.cancelled().await;
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

fn attachments(overview: &Overview) -> report::Attachments {
    let (granted, free) = overview.volumes;
    let blocked = overview
        .blocked
        .iter()
        .map(|(volume, why)| report::Blocked {
            volume: volume.to_string(),
            why: why.clone(),
        });
    report::Attachments {
        granted: count(granted),
        free: count(free),
        blocked: Some(blocked.collect()),
    }
}

fn shard(load: &Load) -> report::Shard {
    report::Shard {
        waiting: count(load.waiting),
        running: count(load.running),
        oldest_ms: load.oldest.map_or(0, millis),
    }
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
