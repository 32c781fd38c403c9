//! How long a new leader takes to read thousands of grants and claims, and what memory it needs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rds_csi::workload::cluster::Blow;
use tokio::time::{sleep, timeout};

use super::bed::Bed;
use super::log::Steps;
use super::proc;
use super::proc::Memory;
use super::report::{Bound, Report, Table};

/// Ten thousand take seconds, with a debug build half a minute.
const SERVE_LIMIT: Duration = Duration::from_mins(3);
/// After this a leader has posted its events and begun to reconcile.
const REST: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A line of a log is written in no time.
const LOG_LIMIT: Duration = Duration::from_secs(10);
/// A leader that is asked to ends at once.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What is told of one size.
struct Size {
    volumes: usize,
    steps: Vec<Steps>,
    /// Of the leader after it has taken over, and of a follower that is about to.
    leader: Vec<Memory>,
    follower: Vec<Memory>,
}

pub(crate) async fn run(
    report: &mut Report,
    sizes: &[usize],
    repeats: usize,
    latency: Duration,
) -> anyhow::Result<()> {
    let title = format!(
        "Rebuild: every volume attached, {} ms command latency",
        latency.as_millis()
    );
    let mut table = Table::new(
        title,
        &[
            "volumes",
            "take-overs",
            "elected to serving: min s",
            "median s",
            "max s",
            "of it reading the RDS",
            "the claims",
            "follower VmRSS MiB",
            "of it heap",
            "VmHWM MiB",
            "leader VmRSS MiB",
            "of it heap",
            "VmHWM MiB",
        ],
    );
    for &volumes in sizes {
        let size = measure(volumes, repeats, latency).await?;
        if volumes == 10_000 {
            aim(report, &size);
        }
        table.row(row(&size));
    }
    report.add(table);
    Ok(())
}

async fn measure(volumes: usize, repeats: usize, latency: Duration) -> anyhow::Result<Size> {
    eprintln!("rebuild: making {volumes} attached volumes");
    let mut bed = Bed::start(latency).await?;
    // Nobody watches them come.
    let pods: Vec<String> = bed.cluster.replicas().iter().map(pod).collect();
    for pod in &pods {
        bed.replica(pod)?.remove().await;
    }
    super::seed::attached(bed.cluster.api(), bed.cluster.sim().world(), volumes).await?;
    for pod in &pods {
        bed.replace(pod).await?;
    }
    let mut size = Size {
        volumes,
        steps: Vec::new(),
        leader: Vec::new(),
        follower: Vec::new(),
    };
    for _ in 0..repeats {
        one(&mut bed, &mut size).await?;
    }
    bed.cluster.shutdown().await;
    Ok(size)
}

fn pod(replica: &rds_csi::workload::cluster::Replica) -> String {
    replica.pod().to_owned()
}

/// The leader hands over to a follower that is warm.
async fn one(bed: &mut Bed, size: &mut Size) -> anyhow::Result<()> {
    let leader = bed.calm().await?;
    let mut followers = bed.drivers()?;
    followers.retain(|(pod, _)| *pod != leader.pod);
    for (pod, _) in &followers {
        size.follower.push(memory(bed, pod)?);
    }
    bed.replica(&leader.pod)?.hit(Blow::Terminate)?;
    let ready = followers.iter().map(|(pod, driver)| {
        let ready = async move {
            driver.ready().await;
            pod.clone()
        };
        Box::pin(ready)
    });
    let Ok((winner, ..)) = timeout(SERVE_LIMIT, futures::future::select_all(ready)).await else {
        bail!("nobody serves within {SERVE_LIMIT:?}\n{}", bed.logs());
    };
    let steps = steps(bed, &winner).await?;
    eprintln!("rebuild of {}: {steps:?}", size.volumes);
    size.steps.push(steps);
    sleep(REST).await;
    size.leader.push(memory(bed, &winner)?);
    let ended = bed.replica(&leader.pod)?.ended(END_LIMIT).await;
    ended.with_context(|| format!("{} does not end", leader.pod))?;
    bed.replace(&leader.pod).await
}

/// It says that it serves a moment after Probe does.
async fn steps(bed: &mut Bed, pod: &str) -> anyhow::Result<Steps> {
    let replica = bed.replica(pod)?;
    let look = async {
        loop {
            match Steps::read(&replica.log_tail()) {
                Some(steps) => return steps,
                None => sleep(LOOK_EVERY).await,
            }
        }
    };
    let found = timeout(LOG_LIMIT, look).await;
    found.with_context(|| format!("{pod} tells of no take-over"))
}

fn memory(bed: &mut Bed, pod: &str) -> anyhow::Result<Memory> {
    let id = bed.replica(pod)?.id();
    proc::memory(id.with_context(|| format!("{pod} has no process"))?)
}

fn aim(report: &mut Report, size: &Size) {
    let (_, median, _) = spread(size, |steps| steps.all);
    report.aim("rebuild of 10,000, median", Bound::AtMost(3.0), median, "s");
    let what = "VmRSS of the leader of 10,000, at worst";
    let worst = most(&size.leader, |memory| memory.resident);
    report.aim(what, Bound::AtMost(48.0), worst, "MiB");
}

fn row(size: &Size) -> Vec<String> {
    let (min, median, max) = spread(size, |steps| steps.all);
    let (_, read, _) = spread(size, |steps| steps.read);
    let (_, joined, _) = spread(size, |steps| steps.joined);
    let mut row = vec![size.volumes.to_string(), size.steps.len().to_string()];
    row.extend([min, median, max, read, joined].map(|figure| format!("{figure:.2}")));
    for memories in [&size.follower, &size.leader] {
        let figures = [
            most(memories, |memory| memory.resident),
            most(memories, |memory| memory.anonymous),
            most(memories, |memory| memory.peak),
        ];
        row.extend(figures.map(|figure| format!("{figure:.1}")));
    }
    row
}

/// Smallest, median and largest, in seconds.
fn spread(size: &Size, step: impl Fn(&Steps) -> Duration) -> (f64, f64, f64) {
    let mut spans: Vec<f64> = size
        .steps
        .iter()
        .map(|one| step(one).as_secs_f64())
        .collect();
    spans.sort_by(f64::total_cmp);
    let at = |index: usize| spans.get(index).copied().unwrap_or_default();
    (
        at(0),
        at(spans.len() / 2),
        at(spans.len().saturating_sub(1)),
    )
}

/// The most of all, in MiB.
fn most(memories: &[Memory], figure: impl Fn(&Memory) -> u64) -> f64 {
    let kib = memories.iter().map(figure).max().unwrap_or_default();
    kib as f64 / 1024.0
}
