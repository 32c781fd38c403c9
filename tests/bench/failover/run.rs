//! Failovers of one kind after the other, in clusters side by side: they are waiting, not work.

use std::time::Duration;

use anyhow::Context as _;
use rds_csi::sim::world::World;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::kind::Kind;
use super::report::{Bound, Report, Table};
use super::samples::Samples;
use super::subject::{Sample, Subject};
use super::times::row;

/// Between the starts of two clusters, so that they neither start nor fail over in step.
const STAGGER: Duration = Duration::from_millis(700);
/// A crash is measured once in a minute, see [`Subject`].
const CRASHES_PER_CLUSTER: usize = 4;

/// All failovers of one kind.
#[derive(Default)]
struct Measured {
    ready: Samples,
    again: Samples,
    moved: Samples,
    count: usize,
    same_pod: usize,
    second_writers: usize,
    replays: usize,
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Failovers of each kind.
    pub(crate) samples: usize,
    /// Clusters side by side.
    pub(crate) clusters: usize,
    /// Of each command of the RDS.
    pub(crate) latency: Duration,
}

pub(crate) async fn run(report: &mut Report, kinds: &[Kind], amount: Amount) -> anyhow::Result<()> {
    let title = format!(
        "Failover: from the signal, {} ms command latency",
        amount.latency.as_millis()
    );
    let mut times = Table::new(
        title,
        &[
            "signal to the leader, and the first",
            "min s",
            "p50 s",
            "p99 s",
            "max s",
        ],
    );
    let mut counts = Table::new(
        "What was seen",
        &[
            "signal",
            "failovers",
            "led again by the same pod",
            "second writers",
            "replayed writes",
        ],
    );
    for &kind in kinds {
        let measured = measure(kind, amount).await?;
        aim(report, kind, &measured);
        let Measured {
            ready,
            again,
            moved,
            count,
            same_pod,
            second_writers,
            replays,
        } = measured;
        for (what, samples) in [
            ("Probe that is ready", ready),
            ("Publish of a volume to the node that has it", again),
            ("Publish of a volume to another node", moved),
        ] {
            times.row(row(format!("{}: {what}", kind.name()), &samples.summary()));
        }
        let mut seen = vec![kind.name().to_owned()];
        let figures = [count, same_pod, second_writers, replays];
        seen.extend(figures.map(|figure| figure.to_string()));
        counts.row(seen);
    }
    report.add(times);
    report.add(counts);
    Ok(())
}

fn aim(report: &mut Report, kind: Kind, measured: &Measured) {
    let p50 = |samples: &Samples| samples.clone().summary().p50.as_secs_f64();
    if let Some((limit, aims)) = kind.aim() {
        let figures = [&measured.ready, &measured.again, &measured.moved];
        for (what, samples) in aims.into_iter().zip(figures) {
            report.aim(what, Bound::AtMost(limit), p50(samples), "s");
        }
    }
    if kind == Kind::Crash {
        let share = 100.0 * measured.same_pod as f64 / measured.count.max(1) as f64;
        let what = "same pod: led again by it";
        report.aim(what, Bound::AtLeast(100.0), share, "%");
    }
}

async fn measure(kind: Kind, amount: Amount) -> anyhow::Result<Measured> {
    let Amount {
        samples,
        clusters,
        latency,
    } = amount;
    let clusters = match kind {
        Kind::Crash => clusters * CRASHES_PER_CLUSTER,
        Kind::Term | Kind::Gone | Kind::Freeze => clusters,
    };
    let clusters = clusters.clamp(1, samples.max(1));
    let parts = u32::try_from(clusters).context("so many clusters")?;
    // Crashes come a minute after the start of each cluster: spread over that minute, none of them
    // has to share the processors with another one.
    let stagger = match kind {
        Kind::Crash => Duration::from_mins(1) / parts,
        Kind::Term | Kind::Gone | Kind::Freeze => STAGGER,
    };
    eprintln!("{}: {samples} samples, {clusters} clusters", kind.name());
    let mut tasks = JoinSet::new();
    for number in 0..parts {
        let share = (samples + clusters - 1 - number as usize) / clusters;
        tasks.spawn(async move {
            sleep(stagger * number).await;
            one_cluster(kind, share, latency).await
        });
    }
    let mut all = Measured::default();
    while let Some(done) = tasks.join_next().await {
        let done = done.context("a cluster broke")??;
        all.ready.append(done.ready);
        all.again.append(done.again);
        all.moved.append(done.moved);
        all.count += done.count;
        all.same_pod += done.same_pod;
        all.second_writers += done.second_writers;
        all.replays += done.replays;
    }
    Ok(all)
}

async fn one_cluster(kind: Kind, samples: usize, latency: Duration) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let mut subject = Subject::start(latency).await?;
    for _ in 0..samples {
        let sample = subject.sample(kind).await?;
        let Sample {
            ready,
            again,
            moved,
            same_pod,
        } = sample;
        eprintln!(
            "{}: ready {ready:.3?}, Publish again {again:.3?}, of another node {moved:.3?}",
            kind.name()
        );
        measured.ready.push(ready);
        measured.again.push(again);
        measured.moved.push(moved);
        measured.count += 1;
        measured.same_pod += usize::from(same_pod);
    }
    let world: &World = subject.world();
    measured.second_writers = world.second_writers().len();
    measured.replays = world.replayed_writes().len();
    subject.end().await;
    Ok(measured)
}
