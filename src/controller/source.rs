//! What a replica tells about itself: to probes, to `rds-csi status` and to `rds-csi explain`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::report::{self, Explanation, Role, StatusReport};
use crate::admin::{Health, Source};
use crate::domain::claim::{Claim, Presence, Wish};
use crate::domain::drift::Contention;
use crate::domain::election::{Change, HolderId, Standing};
use crate::domain::error::{Error, Kind};
use crate::domain::grant::Register;
use crate::domain::id::VolumeId;
use crate::domain::leadership::BootTime;
use crate::k8s::cluster::KubeCluster;
use crate::k8s::events::{KubeEvents, PvcLookup};
use crate::ports::Clock;
use crate::service::{Account, Load, Volumes};

/// A Lease that its leader has not renewed for so long is not about to be: the longest lease that
/// can be configured.
const STALE: Duration = Duration::from_mins(1);

/// One replica, or a standalone controller, for whoever asks.
pub(super) struct Desk {
    pub(super) driver: String,
    pub(super) instance: String,
    pub(super) rds: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) volumes: Volumes,
    pub(super) kubernetes: Option<Side>,
    /// Cancelled by who wants it drained.
    pub(super) drain: CancellationToken,
    /// Cancelled when it is.
    pub(super) drained: CancellationToken,
}

/// What only one of several replicas has.
pub(super) struct Side {
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) lease: watch::Receiver<Option<Change>>,
    pub(super) cluster: Arc<KubeCluster>,
    pub(super) events: Arc<KubeEvents>,
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
        match &*side.standing.borrow() {
            Standing::Following { .. } => Role::Standby,
            Standing::Elected(_) => Role::Rebuilding,
            Standing::Leading(_) if self.volumes.ready() => Role::Leader,
            Standing::Leading(_) => Role::Rebuilding,
            Standing::Offering => Role::Offering,
            Standing::Ended(_) => Role::Draining,
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
    /// The runtime that answers this is the one that serves calls; a leader that cannot renew ends
    /// by itself.
    fn live(&self) -> Health {
        Health::Good
    }

    fn ready(&self) -> (Role, Health) {
        let role = self.role();
        let health = match role {
            Role::Standby => match self.kubernetes.as_ref().map(|side| side.lease.borrow().clone()) {
                Some(Some(change)) if change.at.until(self.clock.boot()) < STALE => Health::Good,
                Some(Some(_)) => Health::Bad("the Lease has not changed for a minute, and this replica has not taken it; look at its log for calls on the Lease that fail".to_owned()),
                Some(None) | None => Health::Bad("the Lease has not been seen yet".to_owned()),
            },
            Role::Leader | Role::Standalone | Role::Rebuilding | Role::Offering | Role::Draining => {
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
        let lease = self
            .kubernetes
            .as_ref()
            .and_then(|side| side.lease.borrow().clone());
        let tally = self
            .kubernetes
            .as_ref()
            .map(|side| side.events.tally())
            .unwrap_or_default();
        let epoch = overview.epoch.or(lease.as_ref().map(|lease| lease.epoch));
        let (last_answer, reachable) = overview.answered;
        let (granted, free) = overview.volumes;
        let drift = overview.findings.iter().map(|finding| report::Drift {
            volume: finding.volume.to_string(),
            what: finding.what.to_owned(),
            age_ms: self.since(finding.since),
        });
        let orphans = overview.orphans.iter().map(|orphan| {
            let age = orphan
                .since
                .map_or(0, |since| self.clock.unix_seconds().saturating_sub(since));
            report::Drift {
                volume: orphan.volume.to_string(),
                what: format!(
                    "no PersistentVolume has it ({} bytes); it is never deleted by this driver",
                    orphan.size
                ),
                age_ms: age.saturating_mul(1000),
            }
        });
        StatusReport {
            driver: self.driver.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.clone(),
            role: self.role(),
            ready: overview.not_ready.is_none(),
            not_ready_because: overview.not_ready.clone(),
            holder: lease
                .as_ref()
                .and_then(|lease| lease.holder.as_ref())
                .map(HolderId::to_string),
            epoch: epoch.map_or(0, |epoch| epoch.digits()),
            lease_age_ms: lease.as_ref().map(|lease| self.since(lease.at)),
            deadline_ms: overview.remaining.map(millis),
            fencing: overview.fencing.map(|mode| report::Fencing {
                mode: mode.as_str().to_owned(),
                verified: false,
            }),
            rds: report::Rds {
                address: self.rds.clone(),
                reachable,
                incarnation: overview.incarnation,
                last_answer_ms: last_answer.map(|at| self.since(at)),
            },
            shards: overview.load.iter().map(shard).collect(),
            attachments: report::Attachments {
                granted: count(granted),
                free: count(free),
                blocked: overview
                    .blocked
                    .iter()
                    .map(|(volume, why)| report::Blocked {
                        volume: volume.to_string(),
                        why: why.clone(),
                    })
                    .collect(),
            },
            drift: drift.chain(orphans).collect(),
            events: report::Events {
                posted: tally.posted,
                dropped: tally.dropped,
                failed: tally.failed,
            },
        }
    }

    async fn explain(&self, query: &str) -> Result<Explanation, Error> {
        let id = self.find(query)?;
        let account = self.volumes.account(&id).await?;
        let pvc = self
            .kubernetes
            .as_ref()
            .and_then(|side| side.cluster.pvc_of(&id));
        let register = account.register.as_ref();
        let pair = register.and_then(Register::pair);
        let now = self.clock.unix_seconds();
        Ok(Explanation {
            pvc: pvc.map(|pvc| format!("{}/{}", pvc.namespace, pvc.name)),
            holder: pair.map(|pair| report::Holder {
                node: pair.node.to_string(),
                since_unix: pair.tail.unix_seconds,
                age_ms: now
                    .saturating_sub(pair.tail.unix_seconds)
                    .saturating_mul(1000),
                epoch: pair.tail.epoch.digits(),
            }),
            register: account
                .entry
                .as_ref()
                .zip(register)
                .map(|(entry, register)| report::Register {
                    state: register.as_str().to_owned(),
                    exported: entry.exported,
                    subsystem: entry.names.subsystem.clone(),
                    host: entry.names.host.clone(),
                }),
            claims: account
                .claims
                .iter()
                .map(|(claim, machine)| attachment(claim, *machine, register))
                .collect(),
            verdict: verdict(&id, &account),
            advice: advice(&account),
            volume: id.to_string(),
        })
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

fn shard(load: &Load) -> report::Shard {
    report::Shard {
        waiting: count(load.waiting),
        running: count(load.running),
        oldest_ms: load.oldest.map_or(0, millis),
    }
}

fn attachment(claim: &Claim, machine: Presence, register: Option<&Register>) -> report::Attachment {
    report::Attachment {
        name: claim.attachment.name.clone(),
        node: claim.node.to_string(),
        wish: match claim.wish {
            Wish::Attach => "attach",
            Wish::Detach => "detach",
        }
        .to_owned(),
        attached: claim.attached,
        told: claim.told.is_some() && claim.told.as_ref() == register.map(Register::names),
        machine: match machine {
            Presence::Present => "present",
            Presence::OutOfService => "out-of-service",
            Presence::Gone => "gone",
        }
        .to_owned(),
    }
}

/// Whether another node would get the volume now, and if not, why.
fn verdict(id: &VolumeId, account: &Account) -> String {
    if let Some(why) = &account.blocked {
        return why.clone();
    }
    let Some(register) = &account.register else {
        return format!("there is no volume {id} on the RDS");
    };
    match (register, account.contention) {
        (Register::Free(_), _) => "free: the next node that is to have it gets it".to_owned(),
        (Register::Stray(_), _) => {
            "its names are half written and nobody was told them: the next node gets it".to_owned()
        }
        (Register::Foreign { why, .. }, _) => {
            format!("refused to every node: {}", crate::service::explain(*why))
        }
        (Register::Granted(pair) | Register::Prepared(pair), Some(Contention::Revoke(reason))) => {
            format!(
                "held by {}, but another node that asks gets it: {}",
                pair.node,
                reason.as_str()
            )
        }
        (Register::Granted(pair) | Register::Prepared(pair), Some(Contention::Held) | None) => {
            format!(
                "held by {}, which has a VolumeAttachment: other nodes are refused until it has let go",
                pair.node
            )
        }
    }
}

fn advice(account: &Account) -> Vec<String> {
    let Some(Contention::Held) = account.contention else {
        return Vec::new();
    };
    vec![
        "to move it, delete or scale down the pod that uses it; Kubernetes then detaches it".to_owned(),
        "if its node is dead, make sure that the machine is off, then taint it: kubectl taint node NODE node.kubernetes.io/out-of-service=nodeshutdown:NoExecute".to_owned(),
    ]
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
