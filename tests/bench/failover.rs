//! Measures how long nobody serves after a leader has ended, frozen or handed over, and how long a
//! take-over of thousands of volumes takes: three controllers as processes, a simulated RDS and a
//! stand-in of the Kubernetes API. `docs/benchmarks.md` says how to run it, what came out, and what
//! bounds each figure.

#![allow(
    clippy::cast_precision_loss,
    reason = "a table shows three digits, a double has fifteen"
)]

#[path = "failover/bed.rs"]
mod bed;
#[path = "failover/driver.rs"]
mod driver;
mod ending;
#[path = "failover/kind.rs"]
mod kind;
#[path = "failover/log.rs"]
mod log;
mod machine;
mod noise;
#[path = "failover/objects.rs"]
mod objects;
mod proc;
#[path = "failover/rebuild.rs"]
mod rebuild;
mod report;
#[path = "failover/run.rs"]
mod run;
mod samples;
#[path = "failover/seed.rs"]
mod seed;
#[path = "failover/subject.rs"]
mod subject;
mod times;

use std::time::Duration;

use anyhow::bail;
use clap::{Parser, ValueEnum};

use kind::Kind;
use noise::Noise;
use report::Report;
use run::Amount;

/// A hundred samples of each kind from five clusters at a time take half an hour.
const RUN_DEADLINE: Duration = Duration::from_mins(90);

/// Benchmark of failovers and of rebuilding.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything, if nothing is named
    what: Vec<What>,
    /// Failovers of each kind
    #[arg(long, default_value_t = 5)]
    samples: usize,
    /// Clusters side by side; four times as many for crashes, which mostly wait for a minute
    #[arg(long, default_value_t = 5)]
    clusters: usize,
    /// Sizes of the rebuild
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    volumes: Vec<usize>,
    /// Take-overs of each size
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Milliseconds that the simulated RDS waits before each command
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// Print Markdown, as in docs/benchmarks.md
    #[arg(long)]
    markdown: bool,
    /// Given by `cargo bench`; without it (`cargo test --benches`) the run shows only that it works
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// SIGTERM: the leader hands over
    Term,
    /// SIGKILL, and the process is started again in its pod
    Crash,
    /// SIGKILL, and the pod is gone
    Gone,
    /// SIGSTOP
    Freeze,
    /// Take-over of many volumes
    Rebuild,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let report = ending::measured(RUN_DEADLINE, measure(&arguments)).await?;
    print!("{}", report.render(arguments.markdown));
    Ok(())
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let quick = !arguments.bench;
    let wanted = |what: What| match arguments.what.as_slice() {
        [] => !quick || matches!(what, What::Term | What::Rebuild),
        named => named.contains(&what),
    };
    let latency = Duration::from_millis(arguments.latency);
    let amount = Amount {
        samples: if quick { 1 } else { arguments.samples },
        clusters: if quick { 1 } else { arguments.clusters },
        latency,
    };
    let noise = Noise::from_now_on()?;
    let mut report = Report::default();
    let kinds = [
        (What::Term, Kind::Term),
        (What::Crash, Kind::Crash),
        (What::Gone, Kind::Gone),
        (What::Freeze, Kind::Freeze),
    ];
    let kinds: Vec<Kind> = kinds
        .into_iter()
        .filter(|(what, _)| wanted(*what))
        .map(|(_, kind)| kind)
        .collect();
    if !kinds.is_empty() {
        run::run(&mut report, &kinds, amount).await?;
    }
    if wanted(What::Rebuild) {
        let (sizes, repeats) = if quick {
            ([100].as_slice(), 1)
        } else {
            (arguments.volumes.as_slice(), arguments.repeats)
        };
        rebuild::run(&mut report, sizes, repeats, latency).await?;
    }
    if report.is_empty() {
        bail!("nothing was measured");
    }
    report.disturbed(noise.processors()?);
    let noise = ("busy with something else, on average", report.disturbance());
    report.add(machine::table(noise));
    if quick {
        report.drop_aims();
    }
    Ok(report)
}
