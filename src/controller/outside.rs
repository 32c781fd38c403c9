//! What the Kubernetes API and the RDS say where no replica answers: a controller that never stands
//! for election, and changes nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admin::Source;
use crate::admin::report::{Attachments, Explanation, StatusReport};
use crate::clock::SystemClock;
use crate::config::outside::OutsideConfig;
use crate::controller::api::{self, Whose};
use crate::controller::source::{Desk, Side, count};
use crate::domain::election::{Change, Failure, HolderId, LeaseView, Timing};
use crate::domain::shard::ShardCount;
use crate::k8s::cluster::KubeCluster;
use crate::k8s::lease::KubeLease;
use crate::ports::{Clock, LeaseStore};
use crate::service::election::heartbeat::Heartbeat;
use crate::service::{Settings, Volumes};

/// Who reads the Lease. It is never written from here.
const READER: &str = "rds-csi-reader";
/// One session is enough for one question after the other, and RouterOS has few.
const SESSIONS: usize = 1;
/// Which claim has which volume is known once all four kinds of objects were listed: 10 000 volumes
/// are 20 pages of each, which a server sends in a few seconds.
const LISTED: Duration = Duration::from_secs(15);

/// One installation, seen from outside.
#[derive(Debug)]
pub struct Outside {
    desk: Desk,
    volumes: Volumes,
    clock: Arc<dyn Clock>,
    cluster: Arc<KubeCluster>,
    lease: KubeLease,
    change: watch::Sender<Option<Change>>,
}

// === impl Outside ===

impl Outside {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// If the configuration of the API or the RDS cannot be used.
    pub async fn new(config: OutsideConfig) -> anyhow::Result<Self> {
        let OutsideConfig {
            driver,
            cluster: id,
            base,
            mut rds,
            kubeconfig,
            namespace,
            lease,
        } = config;
        rds.connections = SESSIONS;
        let address = rds.address.clone();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let backend = super::backend(rds, Arc::clone(&clock))?;
        let api = api::config(kubeconfig.as_deref(), Whose::Person).await?;
        let namespace = namespace.unwrap_or_else(|| api.default_namespace.clone());
        let reader = HolderId::from_record(READER).context("the reader has a name")?;
        let lease = KubeLease::new(&api, &namespace, &lease, reader, Timing::default())?;
        let cluster = Arc::new(KubeCluster::new(&api, &driver)?);
        let settings = Settings {
            cluster: id,
            base,
            rds_address: address.clone(),
            // Of use only to who publishes.
            nvme_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            revoke_settle: Duration::ZERO,
            allowed_nodes: None,
            shards: ShardCount::default(),
        };
        let volumes = Volumes::outside(backend, Arc::clone(&clock), settings, cluster.clone());
        let change = watch::Sender::new(None);
        let desk = Desk {
            driver,
            instance: None,
            rds: address,
            clock: Arc::clone(&clock),
            volumes: volumes.clone(),
            kubernetes: Some(Side {
                lease: change.subscribe(),
                cluster: Arc::clone(&cluster),
                part: None,
            }),
            meters: None,
            pulse: Heartbeat::new(Arc::clone(&clock)),
            drain: CancellationToken::new(),
            drained: CancellationToken::new(),
        };
        Ok(Self {
            desk,
            volumes,
            clock,
            cluster,
            lease,
            change,
        })
    }

    /// The Lease and the volumes on the RDS. What of it cannot be read is named in the report.
    ///
    /// # Errors
    /// If neither can be read.
    pub async fn status(&self) -> anyhow::Result<StatusReport> {
        let (lease, census) = tokio::join!(self.lease.get(), self.volumes.census());
        let mut trouble = Vec::new();
        let renewed = match self.read(lease) {
            Ok(renewed) => renewed,
            Err(why) => {
                trouble.push(why);
                None
            }
        };
        let counted = match census {
            Ok((granted, free)) => Some(Attachments {
                granted: count(granted),
                free: count(free),
                blocked: None,
            }),
            Err(error) => {
                trouble.push(error.to_string());
                None
            }
        };
        if counted.is_none() && self.change.borrow().is_none() {
            anyhow::bail!("{}", trouble.join("; "));
        }
        let mut status = self.desk.status();
        status.attachments = counted;
        status.lease_age_ms = renewed;
        status.not_ready_because = (!trouble.is_empty()).then(|| trouble.join("; "));
        Ok(status)
    }

    /// Everything about one volume, by a read of its entry and of all VolumeAttachments.
    ///
    /// # Errors
    /// Those of [`Source::explain`].
    pub async fn explain(&self, query: &str) -> anyhow::Result<Explanation> {
        let explained = async {
            // Whatever is missing after that is told, or not needed.
            let _listed = timeout(LISTED, self.listed()).await;
            self.desk.explain(query).await
        };
        tokio::select! {
            explained = explained => Ok(explained?),
            () = self.cluster.watch(CancellationToken::new()) => anyhow::bail!("the watch of the Kubernetes API ended"),
        }
    }

    /// Waits until all that is watched was listed once.
    async fn listed(&self) {
        let mut changes = self.cluster.changes();
        while !self.cluster.counts().whole {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Puts on the desk what the Lease says. Tells how long ago it was renewed, in milliseconds, or
    /// why nothing can be told.
    fn read(&self, lease: Result<Option<LeaseView>, Failure>) -> Result<Option<u64>, String> {
        let lease = lease.map_err(|failure| match failure {
            // With what came back: nobody reads a log here.
            Failure::Call(error) => format!("{:#}", anyhow::Error::new(error)),
            failure => failure.to_string(),
        });
        let found = lease.and_then(|lease| {
            lease.ok_or_else(|| {
                format!(
                    "there is no Lease {}; see --leader-election-namespace and --leader-election-lease",
                    self.lease
                )
            })
        });
        let change = found.as_ref().ok().map(|lease| Change {
            holder: lease.hold.holder().cloned(),
            epoch: lease.epoch,
            at: self.clock.boot(),
        });
        self.change.send_replace(change);
        found.map(|lease| age(&lease.renewed, self.clock.unix_seconds()))
    }
}

/// Milliseconds since a moment as the API writes it; `None` if it is none. Two clocks that disagree
/// may put it into the future: that is now.
fn age(renewed: &str, now: u64) -> Option<u64> {
    let renewed: Timestamp = renewed.parse().ok()?;
    let renewed = u64::try_from(renewed.as_second()).ok()?;
    Some(now.saturating_sub(renewed).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_in_the_future_is_now_and_nonsense_is_no_time_at_all() {
        let rows = [
            ("2023-11-14T22:13:20.5Z", Some(10_000)),
            ("2023-11-14T22:14:20Z", Some(0)),
            ("1969-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (renewed, expected) in rows {
            assert_eq!(age(renewed, 1_700_000_010), expected, "{renewed}");
        }
    }
}
