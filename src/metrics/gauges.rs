//! What is read at the moment of a scrape: how things are, and what others count already.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::catalog::{
    BLOCKED, BUILD, DEADLINE, DRIFT, EPOCH, EVENTS_LOST, EVENTS_POSTED, FENCING, LEADER, LEASE_AGE,
    ORPHAN_GRANTS, ORPHAN_VOLUMES, RDS_ANSWER_AGE, RDS_CONNECTION_STATE, RDS_CONNECTIONS,
    RDS_LINES_WAITING, RDS_POOL_AGE, RDS_POOL_FREE, RDS_POOL_SIZE, RDS_RECONNECT, RDS_RESTARTS,
    READY, SHARD_OLDEST, SHARD_RUNNING, SHARD_WAITING, Spec, TELEMETRY_DROPPED, VOLUMES,
};
use super::kinds::labels;
use crate::domain::grant::FencingMode;

/// Labels of shards: there are 16 at most.
const SHARDS: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
];

/// How a replica is. What it cannot say is absent, and so are its series.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// It holds leadership that has not run out.
    pub leads: bool,
    /// It serves calls.
    pub ready: bool,
    /// The epoch of the term, or on the Lease.
    pub epoch: Option<u64>,
    /// Until leadership ends.
    pub deadline: Option<Duration>,
    /// Since the Lease changed.
    pub lease_age: Option<Duration>,
    /// What the RDS enforces.
    pub fencing: Option<FencingMode>,
    /// The sessions with the RDS.
    pub sessions: Sessions,
    /// Since the RDS last answered.
    pub answer_age: Option<Duration>,
    /// The pool, when it was last read.
    pub pool: Option<Pool>,
    /// The queues, by the number of the shard.
    pub shards: Vec<Queue>,
    /// What a leader knows of its volumes.
    pub books: Option<Books>,
    /// Kubernetes events.
    pub events: Option<Events>,
    /// Spans that were not exported.
    pub telemetry_dropped: u64,
}

/// The sessions with the RDS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sessions {
    /// There should be so many.
    pub wanted: usize,
    /// There are so many.
    pub up: usize,
    /// So many run a line.
    pub busy: usize,
    /// Lines that wait for one.
    pub waiting: usize,
    /// Made again.
    pub remade: u64,
    /// Attempts to make one that came to nothing.
    pub failed: u64,
    /// Restarts of the RDS.
    pub restarts: u64,
}

/// The pool on the RDS.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Since it was read.
    pub age: Duration,
}

/// One queue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queue {
    /// Operations that wait.
    pub waiting: usize,
    /// Operations under way.
    pub running: usize,
    /// How long the first has waited.
    pub oldest: Duration,
}

/// What a leader knows of its volumes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Books {
    /// Some node may be using them.
    pub granted: usize,
    /// None does.
    pub free: usize,
    /// They are not served.
    pub blocked: usize,
    /// They are not as they should be.
    pub drift: usize,
    /// No VolumeAttachment asks for their grants.
    pub orphan_grants: usize,
    /// No PersistentVolume has them.
    pub orphan_volumes: usize,
}

/// Kubernetes events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Events {
    /// Taken by the API.
    pub posted: u64,
    /// Without room.
    pub dropped: u64,
    /// Refused by the API.
    pub failed: u64,
    /// About volumes whose claim is not known.
    pub homeless: u64,
}

/// A reading, on its way into a scrape.
#[derive(Debug)]
pub(super) struct Pulled(pub(super) Reading);

/// Writes series.
struct Page<'a>(DescriptorEncoder<'a>);

// === impl Pulled ===

impl Collector for Pulled {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let built_from = [env!("CARGO_PKG_VERSION"), env!("RDS_CSI_COMMIT")];
        page.gauge(&BUILD, [(built_from, 1.0)])?;
        self.leadership(&mut page)?;
        self.queues(&mut page)?;
        self.rds(&mut page)?;
        self.volumes(&mut page)?;
        if let Some(events) = self.0.events {
            page.counter(&EVENTS_POSTED, [([], events.posted)])?;
            page.counter(
                &EVENTS_LOST,
                [
                    (["dropped"], events.dropped),
                    (["failed"], events.failed),
                    (["homeless"], events.homeless),
                ],
            )?;
        }
        page.counter(&TELEMETRY_DROPPED, [([], self.0.telemetry_dropped)])
    }
}

impl Pulled {
    fn leadership(&self, page: &mut Page<'_>) -> fmt::Result {
        let Self(reading) = self;
        page.one(&LEADER, Some(f64::from(u8::from(reading.leads))))?;
        page.one(&READY, Some(f64::from(u8::from(reading.ready))))?;
        page.one(&EPOCH, reading.epoch.map(float))?;
        page.one(&DEADLINE, reading.deadline.map(|left| left.as_secs_f64()))?;
        page.one(&LEASE_AGE, reading.lease_age.map(|age| age.as_secs_f64()))
    }

    fn queues(&self, page: &mut Page<'_>) -> fmt::Result {
        let queues = || SHARDS.iter().copied().zip(&self.0.shards);
        page.gauge(
            &SHARD_WAITING,
            queues().map(|(shard, queue)| ([shard], size(queue.waiting))),
        )?;
        page.gauge(
            &SHARD_RUNNING,
            queues().map(|(shard, queue)| ([shard], size(queue.running))),
        )?;
        page.gauge(
            &SHARD_OLDEST,
            queues().map(|(shard, queue)| ([shard], queue.oldest.as_secs_f64())),
        )
    }

    fn rds(&self, page: &mut Page<'_>) -> fmt::Result {
        let Self(reading) = self;
        let Sessions {
            wanted,
            up,
            busy,
            waiting,
            remade,
            failed,
            restarts,
        } = reading.sessions;
        let states = [
            (["wanted"], size(wanted)),
            (["up"], size(up)),
            (["busy"], size(busy)),
        ];
        page.gauge(&RDS_CONNECTIONS, states)?;
        page.one(&RDS_CONNECTION_STATE, Some(f64::from(u8::from(up > 0))))?;
        page.one(&RDS_LINES_WAITING, Some(size(waiting)))?;
        page.counter(
            &RDS_RECONNECT,
            [(["success"], remade), (["failure"], failed)],
        )?;
        page.counter(&RDS_RESTARTS, [([], restarts)])?;
        page.one(
            &RDS_ANSWER_AGE,
            reading.answer_age.map(|age| age.as_secs_f64()),
        )?;
        page.one(&RDS_POOL_SIZE, reading.pool.map(|pool| float(pool.size)))?;
        page.one(&RDS_POOL_FREE, reading.pool.map(|pool| float(pool.free)))?;
        page.one(
            &RDS_POOL_AGE,
            reading.pool.map(|pool| pool.age.as_secs_f64()),
        )
    }

    fn volumes(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(books) = self.0.books else {
            return Ok(());
        };
        let states = [
            (["granted"], size(books.granted)),
            (["free"], size(books.free)),
        ];
        page.gauge(&VOLUMES, states)?;
        page.one(&BLOCKED, Some(size(books.blocked)))?;
        page.one(&DRIFT, Some(size(books.drift)))?;
        page.one(&ORPHAN_GRANTS, Some(size(books.orphan_grants)))?;
        page.one(&ORPHAN_VOLUMES, Some(size(books.orphan_volumes)))?;
        page.gauge(&FENCING, self.0.fencing.map(|mode| ([mode.as_str()], 1.0)))
    }
}

// === impl Page ===

impl Page<'_> {
    fn one(&mut self, spec: &'static Spec, value: Option<f64>) -> fmt::Result {
        self.gauge(spec, value.map(|value| ([], value)))
    }

    fn gauge<const N: usize>(
        &mut self,
        spec: &'static Spec,
        rows: impl IntoIterator<Item = ([&'static str; N], f64)>,
    ) -> fmt::Result {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let help = sentence(spec);
        let mut metric = self
            .0
            .encode_descriptor(spec.name, &help, None, MetricType::Gauge)?;
        for (values, value) in rows {
            if N == 0 {
                metric.encode_gauge(&value)?;
            } else {
                let labels = labels(spec, values);
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn counter<const N: usize>(
        &mut self,
        spec: &'static Spec,
        rows: impl IntoIterator<Item = ([&'static str; N], u64)>,
    ) -> fmt::Result {
        let help = sentence(spec);
        let mut metric = self
            .0
            .encode_descriptor(spec.stem(), &help, None, MetricType::Counter)?;
        for (values, value) in rows {
            if N == 0 {
                metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            } else {
                let labels = labels(spec, values);
                let mut series = metric.encode_family(&labels)?;
                series.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }
}

/// As the registry writes it for metrics of its own.
fn sentence(spec: &Spec) -> String {
    format!("{}.", spec.help)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float to whoever reads it; bytes of a pool are exact up to 8 PiB"
)]
const fn float(number: u64) -> f64 {
    number as f64
}

fn size(count: usize) -> f64 {
    float(u64::try_from(count).unwrap_or(u64::MAX))
}
