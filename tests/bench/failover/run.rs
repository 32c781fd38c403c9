//! Failovers of one kind after the other, in clusters side by side: they are waiting, not work.

use std::time::Duration;

use anyhow::Context as _;
use rds_csi::sim::world::World;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::kind::Kind;
use super::report::{Bound, Report, Table};
use super::samples::{Samples, Summary};
use super::subject::Subject;

/// Between the starts of two clusters, so that they neither start nor fail over in step.
const STAGGER: Duration = Duration::from_millis(700);
/// A crash is measured once in a minute, see [`Subject`].
const CRASHES_PER_CLUSTER: usize = 4;

/// All failovers of one kind.
#[derive(Default)]
struct Measured {
    ready: Samples,
    publish: Samples,
    count: usize,
    same_pod: usize,
    second_writers: usize,
    replays: usize,
}

pub(crate) async fn run(
    report: &mut Report,
    kinds: &[Kind],
    samples: usize,
    clusters: usize,
) -> anyhow::Result<()> {
    let mut table = Table::new(
        "Failover: seconds from the signal",
        &[
            "the leader's process",
            "samples",
            "ready: min",
            "p50",
            "p99",
            "max",
            "Publish: min",
            "p50",
            "p99",
            "max",
            "led by the same pod",
            "second writers",
            "replayed writes",
        ],
    );
    for &kind in kinds {
        let side_by_side = match kind {
            Kind::Crash => clusters * CRASHES_PER_CLUSTER,
            Kind::Term | Kind::Gone | Kind::Freeze => clusters,
        };
        let measured = measure(kind, samples, side_by_side.clamp(1, samples.max(1))).await?;
        let Measured {
            ready,
            publish,
            count,
            same_pod,
            second_writers,
            replays,
        } = measured;
        let (ready, publish) = (ready.summary(), publish.summary());
        if let Some((limit, what_ready, what_publish)) = kind.aim() {
            let limit = Bound::AtMost(limit);
            report.aim(what_ready, limit, ready.p50.as_secs_f64(), "s");
            report.aim(what_publish, limit, publish.p50.as_secs_f64(), "s");
        }
        if kind == Kind::Crash {
            let share = 100.0 * same_pod as f64 / count.max(1) as f64;
            let what = "same pod: led again by it";
            report.aim(what, Bound::AtLeast(100.0), share, "%");
        }
        let mut row = vec![kind.name().to_owned(), count.to_string()];
        row.extend(seconds(&ready));
        row.extend(seconds(&publish));
        row.extend([same_pod, second_writers, replays].map(|count| count.to_string()));
        table.row(row);
    }
    report.add(table);
    Ok(())
}

fn seconds(summary: &Summary) -> [String; 4] {
    let Summary {
        min,
        p50,
        p90: _,
        p99,
        max,
    } = *summary;
    [min, p50, p99, max].map(|took| format!("{:.2}", took.as_secs_f64()))
}

async fn measure(kind: Kind, samples: usize, clusters: usize) -> anyhow::Result<Measured> {
    eprintln!("{}: {samples} samples, {clusters} clusters", kind.name());
    let mut tasks = JoinSet::new();
    for number in 0..clusters {
        let share = (samples + clusters - 1 - number) / clusters;
        tasks.spawn(async move {
            sleep(STAGGER * u32::try_from(number).unwrap_or_default()).await;
            one_cluster(kind, share).await
        });
    }
    let mut all = Measured::default();
    while let Some(done) = tasks.join_next().await {
        let done = done.context("a cluster broke")??;
        all.ready.append(done.ready);
        all.publish.append(done.publish);
        all.count += done.count;
        all.same_pod += done.same_pod;
        all.second_writers += done.second_writers;
        all.replays += done.replays;
    }
    Ok(all)
}

async fn one_cluster(kind: Kind, samples: usize) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let mut subject = Subject::start().await?;
    for _ in 0..samples {
        let sample = subject.sample(kind).await?;
        eprintln!(
            "{}: ready after {:.3} s, Publish after {:.3} s",
            kind.name(),
            sample.ready.as_secs_f64(),
            sample.publish.as_secs_f64()
        );
        measured.ready.push(sample.ready);
        measured.publish.push(sample.publish);
        measured.count += 1;
        measured.same_pod += usize::from(sample.same_pod);
    }
    let world: &World = subject.world();
    measured.second_writers = world.second_writers().len();
    measured.replays = world.replayed_writes().len();
    subject.end().await;
    Ok(measured)
}
