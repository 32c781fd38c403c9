//! Many callers at once, each going round volumes of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Client, Volume};
use super::samples::Samples;

/// When callers stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// So long after they began, with the cycle they are in.
    Elapsed(Duration),
    /// After so many cycles of all callers together.
    Cycles(u64),
}

/// What they measured.
#[derive(Debug, Default)]
pub(crate) struct Cycled {
    pub(crate) publish: Samples,
    pub(crate) unpublish: Samples,
    pub(crate) cycles: u32,
}

/// Makes volumes with the numbers from `from`, `callers` at a time.
pub(crate) async fn create(
    client: &Client,
    from: usize,
    count: usize,
    callers: usize,
) -> anyhow::Result<Vec<Volume>> {
    let mut tasks = JoinSet::new();
    for caller in 0..callers.min(count) {
        let mut client = client.clone();
        tasks.spawn(async move {
            let mut made = Vec::new();
            for number in (from + caller..from + count).step_by(callers) {
                made.push(client.create(number).await?.0);
            }
            anyhow::Ok(made)
        });
    }
    let mut volumes = Vec::with_capacity(count);
    while let Some(made) = tasks.join_next().await {
        volumes.extend(made.context("a caller broke")??);
    }
    Ok(volumes)
}

/// Half of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Publish,
    Unpublish,
}

/// Publishes or unpublishes each of `volumes` once, `callers` at a time.
pub(crate) async fn all(
    client: &Client,
    volumes: &[Volume],
    callers: usize,
    half: Half,
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for share in shares(volumes, callers) {
        let (mut client, share) = (client.clone(), share.to_vec());
        tasks.spawn(async move {
            for volume in &share {
                match half {
                    Half::Publish => client.publish(volume).await?,
                    Half::Unpublish => client.unpublish(volume).await?,
                };
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a caller broke")??;
    }
    Ok(())
}

/// Publishes and unpublishes, each of `callers` its own share of `volumes` in turn.
pub(crate) async fn cycle(
    client: &Client,
    volumes: &[Volume],
    callers: usize,
    until: Until,
) -> anyhow::Result<Cycled> {
    let budget = Arc::new(Budget::new(until));
    let mut tasks = JoinSet::new();
    for share in shares(volumes, callers) {
        tasks.spawn(go_round(
            client.clone(),
            share.to_vec(),
            Arc::clone(&budget),
        ));
    }
    let mut total = Cycled::default();
    while let Some(done) = tasks.join_next().await {
        let Cycled {
            publish,
            unpublish,
            cycles,
        } = done.context("a caller broke")??;
        total.publish.append(publish);
        total.unpublish.append(unpublish);
        total.cycles += cycles;
    }
    Ok(total)
}

fn shares(volumes: &[Volume], callers: usize) -> impl Iterator<Item = &[Volume]> {
    volumes.chunks(volumes.len().div_ceil(callers).max(1))
}

async fn go_round(
    mut client: Client,
    volumes: Vec<Volume>,
    budget: Arc<Budget>,
) -> anyhow::Result<Cycled> {
    let mut done = Cycled::default();
    for volume in volumes.iter().cycle() {
        if !budget.take() {
            break;
        }
        done.publish.push(client.publish(volume).await?);
        done.unpublish.push(client.unpublish(volume).await?);
        done.cycles += 1;
    }
    Ok(done)
}

/// What is left to do for all callers together.
#[derive(Debug)]
struct Budget {
    end: Option<Instant>,
    cycles: AtomicU64,
}

impl Budget {
    fn new(until: Until) -> Self {
        let (end, cycles) = match until {
            Until::Elapsed(span) => (Some(Instant::now() + span), u64::MAX),
            Until::Cycles(cycles) => (None, cycles),
        };
        Self {
            end,
            cycles: AtomicU64::new(cycles),
        }
    }

    fn take(&self) -> bool {
        let in_time = self.end.is_none_or(|end| Instant::now() < end);
        let one_less = |left: u64| left.checked_sub(1);
        in_time
            && self
                .cycles
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
    }
}
