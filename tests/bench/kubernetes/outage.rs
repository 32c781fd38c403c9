//! The leader goes while a pod waits for its volume: how long until the next one is ready, and until
//! the pod has what it waits for, with stock sidecars in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod as PodObject;
use rds_csi::workload::cluster::Blow;
use testbed::bed::{Bed, Ground, Options};
use testbed::pod::Pod;
use testbed::pod::container::BackOff;
use testbed::workload::{LONG, PodWanted};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use super::ground::{Tools, on_bed};
use super::report::{Bound, Report, Table};
use super::samples::Samples;
use super::times::row;
use super::witness::Witness;

/// Between the starts of two beds, so that they neither start nor fail over in step.
const STAGGER: Duration = Duration::from_secs(3);
/// Sidecars that were started anew have found their driver by then, and followers the Lease.
const CALM: Duration = Duration::from_secs(3);
/// A process has to have led for 60 s before its successor in the same pod may follow it at once, and
/// what counts is its last renewal, which may be 2 s old.
const LED_FOR: Duration = Duration::from_secs(63);
/// Leaders renew every 2 s, and what a follower waits for counts from the last renewal: the leader
/// goes at any moment between two of them.
const PHASE_MS: u64 = 2_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// More beds for crashes, of which each takes more than a minute of waiting.
const CRASHES_PER_BED: usize = 2;
/// Containers are started again at once, as the first time that they end: what is measured is the
/// first crash of a pod, many times.
const AT_ONCE: BackOff = BackOff {
    first: Duration::ZERO,
    longest: Duration::ZERO,
    reset: Duration::from_hours(1),
};

/// How a leader goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its pod is deleted, and another one made.
    Term,
    /// It crashes, and is started again in its pod.
    Crash,
    /// Its pod vanishes, sidecars and all.
    Gone,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Failovers of each kind.
    pub(crate) samples: usize,
    /// Deployments side by side.
    pub(crate) beds: usize,
}

/// All failovers of one kind.
#[derive(Debug, Default)]
struct Measured {
    ready: Samples,
    attached: Samples,
    count: usize,
    same_pod: usize,
    exits: Exits,
}

/// Sidecars that ended by themselves.
#[derive(Debug, Clone, Copy, Default)]
struct Exits {
    beside_the_old_leader: usize,
    beside_others: usize,
}

/// One failover, in time from the moment before the leader goes.
#[derive(Debug, Clone, Copy)]
struct Sample {
    ready: Duration,
    attached: Duration,
    same_pod: bool,
    exits: Exits,
}

// === impl Kind ===

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM, the pod is deleted",
            Self::Crash => "SIGKILL, the pod survives",
            Self::Gone => "the pod is gone",
        }
    }

    /// The most that the median may be, in seconds, until somebody is ready. Attaching comes on top.
    fn aim(self) -> (&'static str, f64) {
        match self {
            Self::Term => ("SIGTERM: ready, p50", 1.0),
            Self::Crash => ("same pod: ready, p50", 2.0),
            Self::Gone => ("pod gone: ready, p50", 10.0),
        }
    }

    /// How long the leader has to have led before.
    fn calm(self) -> Duration {
        match self {
            Self::Crash => LED_FOR,
            Self::Term | Self::Gone => CALM,
        }
    }
}

pub(crate) async fn run(
    report: &mut Report,
    tools: &Tools,
    kinds: &[Kind],
    amount: Amount,
) -> anyhow::Result<()> {
    let header = [
        "the leader goes, and the first",
        "min s",
        "p50 s",
        "p99 s",
        "max s",
    ];
    let mut times = Table::new("Failover under stock sidecars: from the signal", &header);
    let mut counts = Table::new(
        "What was seen",
        &[
            "the leader goes",
            "failovers",
            "led again by the same pod",
            "sidecars that ended beside the old leader",
            "beside others",
        ],
    );
    let ground = tools.ground().await?;
    for &kind in kinds {
        let measured = measure(&ground, kind, amount).await?;
        let Measured {
            ready,
            attached,
            count,
            same_pod,
            exits,
        } = measured;
        let (what, limit) = kind.aim();
        let p50 = ready.clone().summary().p50.as_secs_f64();
        report.aim(what, Bound::AtMost(limit), p50, "s");
        let rows = [
            ("Probe that is ready", ready),
            ("volume of a pod made at that moment attached", attached),
        ];
        for (what, samples) in rows {
            times.row(row(format!("{}: {what}", kind.name()), &samples.summary()));
        }
        let Exits {
            beside_the_old_leader,
            beside_others,
        } = exits;
        let figures = [count, same_pod, beside_the_old_leader, beside_others];
        let mut seen = vec![kind.name().to_owned()];
        seen.extend(figures.map(|figure| figure.to_string()));
        counts.row(seen);
    }
    report.add(times);
    report.add(counts);
    Ok(())
}

async fn measure(ground: &Ground, kind: Kind, amount: Amount) -> anyhow::Result<Measured> {
    let Amount { samples, beds } = amount;
    let beds = match kind {
        Kind::Crash => beds * CRASHES_PER_BED,
        Kind::Term | Kind::Gone => beds,
    };
    let beds = beds.clamp(1, samples.max(1));
    eprintln!("{}: {samples} samples, {beds} beds", kind.name());
    let mut tasks = JoinSet::new();
    for number in 0..u32::try_from(beds).context("so many beds")? {
        let share = (samples + beds - 1 - number as usize) / beds;
        let ground = ground.clone();
        tasks.spawn(async move {
            sleep(STAGGER * number).await;
            Box::pin(one_bed(&ground, kind, share)).await
        });
    }
    let mut all = Measured::default();
    while let Some(done) = tasks.join_next().await {
        let done = done.context("a bed broke")??;
        all.ready.append(done.ready);
        all.attached.append(done.attached);
        all.count += done.count;
        all.same_pod += done.same_pod;
        all.exits.add(done.exits);
    }
    Ok(all)
}

async fn one_bed(ground: &Ground, kind: Kind, samples: usize) -> anyhow::Result<Measured> {
    let options = Options {
        back_off: AT_ONCE,
        nodes: vec!["n0".to_owned()],
        ..Options::default()
    };
    on_bed(ground, "failover", options, async |bed| {
        let mut measured = Measured::default();
        let mut subject = Subject {
            bed,
            witness: Witness::new(bed.client(), bed.driver()),
            leads: None,
        };
        for number in 0..samples {
            let sample = subject.sample(kind, &format!("waits-{number}")).await?;
            let Sample {
                ready,
                attached,
                same_pod,
                exits,
            } = sample;
            eprintln!(
                "{}: ready {ready:.3?}, attached {attached:.3?}",
                kind.name()
            );
            measured.ready.push(ready);
            measured.attached.push(attached);
            measured.count += 1;
            measured.same_pod += usize::from(same_pod);
            measured.exits.add(exits);
        }
        Ok(measured)
    })
    .await
}

// === impl Exits ===

impl Exits {
    fn add(&mut self, more: Self) {
        self.beside_the_old_leader += more.beside_the_old_leader;
        self.beside_others += more.beside_others;
    }
}

/// A bed, and since when its present leader has led.
struct Subject<'a> {
    bed: &'a Bed,
    witness: Witness,
    leads: Option<(Lives, Instant)>,
}

/// Which processes of the leader's pod run: a pod whose driver was started anew leads anew.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lives {
    pod: String,
    containers: BTreeMap<String, u32>,
}

// === impl Subject ===

impl Subject<'_> {
    /// One failover, and everything as it was before.
    async fn sample(&mut self, kind: Kind, name: &str) -> anyhow::Result<Sample> {
        let (bed, user) = (self.bed, self.bed.workload());
        user.claim(name).await?;
        let volume = user.bound(name, LONG).await?;
        let leader = timeout(LONG, self.calm(kind.calm()))
            .await
            .context("the bed does not come to rest")?;
        sleep(Duration::from_millis(rand::random_range(0..PHASE_MS))).await;
        let before = bed.deployment().exits().unasked().len();
        let began = Instant::now();
        let claims = [name];
        let wanted = PodWanted {
            name,
            claims: &claims,
            node: None,
        };
        let waits = async {
            user.pod(&wanted).await?;
            self.witness.attached(&volume.name, LONG).await
        };
        let (ready, attached) = tokio::try_join!(self.fail(kind, &leader), waits)?;
        let (next, ready) = ready;
        match kind {
            Kind::Term => {}
            // One pod is given one short cut in ten minutes: the next crash has to be another pod's.
            Kind::Crash => drop(bed.deployment().delete(&next).await?),
            Kind::Gone => drop(bed.deployment().add().await?),
        }
        user.delete::<PodObject>(name).await?;
        let gone = |seen: &super::witness::Seen| seen.gone.get(&volume.name).copied();
        self.witness.wait("detach", LONG, gone).await?;
        let mut exits = Exits::default();
        for exit in bed.deployment().exits().unasked().iter().skip(before) {
            if exit.pod == leader.name() {
                exits.beside_the_old_leader += 1;
            } else {
                eprintln!("{} of {} ended: {}", exit.container, exit.pod, exit.said);
                exits.beside_others += 1;
            }
        }
        Ok(Sample {
            ready: ready - began,
            attached: attached - began,
            same_pod: next.uid() == leader.uid(),
            exits,
        })
    }

    /// Does it; who leads then, and since when.
    async fn fail(&self, kind: Kind, leader: &Pod) -> anyhow::Result<(Arc<Pod>, Instant)> {
        let deployment = self.bed.deployment();
        match kind {
            Kind::Term => {
                let next = async {
                    let (next, _) = deployment.successor(leader, LONG).await?;
                    Ok((next, Instant::now()))
                };
                let (_, next) = tokio::try_join!(deployment.delete(leader), next)?;
                Ok(next)
            }
            Kind::Crash => {
                let driver = leader.driver()?;
                let lives = driver.lives();
                leader.hit(Blow::Kill)?;
                driver.started(lives + 1, LONG).await?;
                Ok((deployment.leader(LONG).await?, Instant::now()))
            }
            Kind::Gone => {
                let next = async {
                    let (next, _) = deployment.successor(leader, LONG).await?;
                    Ok::<_, anyhow::Error>((next, Instant::now()))
                };
                let ((), next) = tokio::join!(deployment.vanish(leader), next);
                next
            }
        }
    }

    /// Waits until one pod has led for so long, the same processes all the time, and all others answer.
    async fn calm(&mut self, span: Duration) -> Arc<Pod> {
        let mut ticks = interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let Some((leader, lives)) = self.lives().await else {
                self.leads = None;
                continue;
            };
            match &self.leads {
                Some((same, since)) if *same == lives => {
                    if since.elapsed() >= span {
                        return leader;
                    }
                }
                Some(_) | None => self.leads = Some((lives, Instant::now())),
            }
        }
    }

    /// The leader, if every pod answers that it is ready.
    async fn lives(&self) -> Option<(Arc<Pod>, Lives)> {
        let mut leader = None;
        for pod in self.bed.deployment().pods() {
            if pod.role().await? == "leader" {
                leader = Some(pod);
            }
        }
        let leader = leader?;
        let containers = leader
            .containers()
            .map(|one| (one.name().to_owned(), one.lives()));
        let lives = Lives {
            pod: leader.uid().to_owned(),
            containers: containers.collect(),
        };
        Some((leader, lives))
    }
}
