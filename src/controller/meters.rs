//! What a replica shows to a scraper: the counters of its parts, and how it is at the moment.

use std::sync::Arc;

use crate::controller::source::{Desk, Side};
use crate::domain::drift::Reason;
use crate::domain::election::Standing;
use crate::domain::leadership::Epoch;
use crate::metrics::Metrics;
use crate::metrics::exposition::Form;
use crate::metrics::gauges::{Books, Events, Pool, Queue, Reading, Sessions};
use crate::rds::backend::RdsBackend;
use crate::service::Overview;

/// What is counted, and where the sessions with the RDS are read.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) metrics: Metrics,
    pub(super) rds: Arc<RdsBackend>,
    /// Spans that were not exported.
    pub(super) dropped: fn() -> u64,
}

impl Desk {
    pub(super) fn scrape(&self, form: Form) -> String {
        let Some(meters) = &self.meters else {
            return String::new();
        };
        meters.metrics.scrape(self.reading(meters), form)
    }

    fn reading(&self, meters: &Meters) -> Reading {
        let overview = self.volumes.overview();
        let now = self.clock.boot();
        let lease = self.kubernetes.as_ref();
        let lease = lease.and_then(|side| side.lease.borrow().clone());
        let on_lease = lease.as_ref().map(|lease| lease.epoch);
        let queue = |load: &crate::service::Load| Queue {
            waiting: load.waiting,
            running: load.running,
            oldest: load.oldest.unwrap_or_default(),
        };
        Reading {
            leads: self.leads(&overview),
            ready: overview.not_ready.is_none(),
            epoch: overview.epoch.or(on_lease).map(Epoch::digits),
            deadline: overview.remaining,
            lease_age: lease.map(|lease| lease.at.until(now)),
            fencing: overview.fencing,
            sessions: sessions(meters, &overview),
            answer_age: overview.answered.0.map(|last| last.until(now)),
            pool: overview.pool.map(|(space, read)| Pool {
                size: space.total,
                free: space.free,
                age: read.until(now),
            }),
            shards: overview.load.iter().map(queue).collect(),
            books: overview.epoch.map(|_| books(&overview)),
            events: self.kubernetes.as_ref().and_then(events),
            telemetry_dropped: (meters.dropped)(),
        }
    }

    /// Whether permits could be had at this moment, for whatever.
    fn leads(&self, overview: &Overview) -> bool {
        let Some(side) = &self.kubernetes else {
            return overview.epoch.is_some();
        };
        let Some(part) = &side.part else { return false };
        match &*part.standing.borrow() {
            Standing::Elected(leadership) | Standing::Leading(leadership) => {
                leadership.check(self.clock.boot()).is_ok()
            }
            Standing::Following { .. } | Standing::Offering | Standing::Ended(_) => false,
        }
    }
}

fn sessions(meters: &Meters, overview: &Overview) -> Sessions {
    let pool = meters.rds.pool();
    Sessions {
        wanted: pool.connections,
        up: pool.up,
        busy: pool.busy,
        waiting: pool.waiting,
        remade: pool.reconnects,
        failed: pool.failures,
        restarts: overview.incarnation,
    }
}

fn books(overview: &Overview) -> Books {
    let (granted, free) = overview.volumes;
    let orphan = Reason::Orphan.as_str();
    let orphans = overview
        .findings
        .iter()
        .filter(|found| found.what == orphan);
    Books {
        granted,
        free,
        blocked: overview.blocked.len(),
        drift: overview.findings.len(),
        orphan_grants: orphans.count(),
        orphan_volumes: overview.orphans.len(),
    }
}

fn events(side: &Side) -> Option<Events> {
    let tally = side.part.as_ref()?.events.tally();
    Some(Events {
        posted: tally.posted,
        dropped: tally.dropped,
        failed: tally.failed,
        homeless: tally.homeless,
    })
}
