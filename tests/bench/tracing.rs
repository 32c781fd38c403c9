//! What tracing costs the controller: processor time of a cycle, with spans sent nowhere, to a
//! collector, and to one that never answers.

use super::client::Volume;
use super::collector::{Collector, Manner};
use super::figures::ms;
use super::fleet::{self, Until};
use super::report::{Bound, Report, Table};
use super::rig::Rig;

/// One caller costs most processor time per cycle, 64 leave the exporter the least time.
const CALLERS: [usize; 2] = [1, 64];

/// Volumes of each caller.
const VOLUMES_EACH: usize = 4;

/// The way of each round: a change of the machine's pace meets all of them alike.
const ROUNDS: usize = 7;
const ROUNDS_QUICK: usize = 1;

/// At 0.4 ms at least they are 1.2 s of processor time, which is counted in steps of 10 ms: 1 %.
const CYCLES: u64 = 3_000;
const CYCLES_QUICK: u64 = 300;

/// Where spans go, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tracing {
    Off,
    OneInTen,
    All,
    Hanging,
}

const IN_ORDER: [(Tracing, &str); 4] = [
    (Tracing::Off, "no tracing"),
    (Tracing::OneInTen, "one trace in ten"),
    (Tracing::All, "every trace"),
    (Tracing::Hanging, "every trace, the collector hangs"),
];

/// The collectors that there are.
struct Collectors {
    takes: Collector,
    hangs: Collector,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Milliseconds of the controller's processor time for a cycle.
    cpu: f64,
    /// Spans that came to the collector for each cycle.
    spans: f64,
}

pub(crate) async fn run(report: &mut Report, quick: bool) -> anyhow::Result<()> {
    let (rounds, cycles) = if quick {
        (ROUNDS_QUICK, CYCLES_QUICK)
    } else {
        (ROUNDS, CYCLES)
    };
    let collectors = Collectors {
        takes: Collector::start(Manner::Takes).await?,
        hangs: Collector::start(Manner::Hangs).await?,
    };
    let (mut rig, _) = Rig::start().await?;
    let most = CALLERS.into_iter().max().unwrap_or(1) * VOLUMES_EACH;
    let volumes = fleet::create(&rig.client(), 0, most, most).await?;
    let mut table = Table::new(
        format!("Tracing: {rounds} rounds of {cycles} cycles each way"),
        &[
            "callers, tracing",
            "controller CPU ms per cycle: median",
            "min",
            "max",
            "over none, ms: median",
            "over none, %: median",
            "spans per cycle",
        ],
    );
    for callers in CALLERS {
        let share = volumes.get(..callers * VOLUMES_EACH).unwrap_or(&volumes);
        let mut costs: [Vec<Cost>; IN_ORDER.len()] = Default::default();
        for round in 1..=rounds {
            eprintln!("tracing: {callers} callers, round {round} of {rounds}");
            for (way, costs) in IN_ORDER.iter().zip(&mut costs) {
                rig.restart_with(&collectors.flags(way.0)).await?;
                costs.push(measure(report, &mut rig, &collectors, share, callers, cycles).await?);
            }
        }
        tell(report, &mut table, callers, &costs);
    }
    report.add(table);
    Ok(())
}

async fn measure(
    report: &mut Report,
    rig: &mut Rig,
    collectors: &Collectors,
    volumes: &[Volume],
    callers: usize,
    cycles: u64,
) -> anyhow::Result<Cost> {
    let client = rig.client();
    fleet::cycle(&client, volumes, callers, Until::Cycles(cycles / 10)).await?;
    let came = collectors.spans();
    let before = rig.read().await?;
    let done = fleet::cycle(&client, volumes, callers, Until::Cycles(cycles)).await?;
    let spent = rig.read().await?.since(&before);
    report.disturbed(spent.disturbance());
    let cycles = f64::from(done.cycles);
    Ok(Cost {
        cpu: ms(spent.controller) / cycles,
        spans: (collectors.spans() - came) as f64 / cycles,
    })
}

/// Each round is compared with its own measurement without tracing.
fn tell(report: &mut Report, table: &mut Table, callers: usize, costs: &[Vec<Cost>]) {
    let Some(none) = costs.first() else { return };
    for ((way, name), costs) in IN_ORDER.iter().zip(costs) {
        let cpu = sorted(costs.iter().map(|cost| cost.cpu));
        let pairs = || costs.iter().zip(none);
        let more = median(&sorted(pairs().map(|(cost, none)| cost.cpu - none.cpu)));
        let percent = pairs().map(|(cost, none)| 100.0 * (cost.cpu / none.cpu - 1.0));
        let percent = median(&sorted(percent));
        let spans = median(&sorted(costs.iter().map(|cost| cost.spans)));
        table.row(vec![
            format!("{callers}, {name}"),
            format!("{:.3}", median(&cpu)),
            format!("{:.3}", cpu.first().copied().unwrap_or_default()),
            format!("{:.3}", cpu.last().copied().unwrap_or_default()),
            format!("{more:.3}"),
            format!("{percent:.1}"),
            format!("{spans:.1}"),
        ]);
        if *way == Tracing::All && callers == 1 {
            let what = "more CPU of a cycle with every trace, 1 caller";
            report.aim(what, Bound::AtMost(5.0), percent, "%");
        }
    }
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// Of an odd number the middle one, of an even one the upper of two.
fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

// === impl Collectors ===

impl Collectors {
    fn flags(&self, tracing: Tracing) -> Vec<String> {
        let (collector, ratio) = match tracing {
            Tracing::Off => return Vec::new(),
            Tracing::OneInTen => (&self.takes, "0.1"),
            Tracing::All => (&self.takes, "1"),
            Tracing::Hanging => (&self.hangs, "1"),
        };
        let endpoint = format!("--otlp-endpoint={}", collector.endpoint());
        vec![endpoint, format!("--trace-ratio={ratio}")]
    }

    fn spans(&self) -> usize {
        self.takes.spans() + self.hangs.spans()
    }
}
