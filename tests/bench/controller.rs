//! Measures the controller as it is run: the release binary as a process of its own in front of a
//! simulated RDS in another one, called over its unix socket. `docs/benchmarks.md` says how to run
//! it, what came out, and what bounds each figure.

#![allow(
    clippy::panic,
    reason = "a child process that cannot be started ends the benchmark by panicking"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "a table shows three digits, a double has fifteen"
)]

mod calls;
mod client;
mod collector;
mod ending;
mod figures;
mod fleet;
mod load;
mod machine;
mod memory;
mod proc;
#[path = "../support/process.rs"]
mod process;
mod report;
mod rig;
mod samples;
mod tracing;

use std::time::Duration;

use anyhow::bail;
use clap::Parser;

use report::Report;

/// A full run takes about six minutes on two cores; two and a half times that is a hang.
const RUN_DEADLINE: Duration = Duration::from_mins(15);

/// Benchmark of the controller.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only sections whose name contains this: calls, load-0ms, load-50ms, memory, tracing
    filter: Option<String>,
    /// Print Markdown, as in docs/benchmarks.md
    #[arg(long)]
    markdown: bool,
    /// Half a minute instead of six, a tenth of the volumes, no verdicts: shows that everything works
    #[arg(long)]
    quick: bool,
    /// Given by `cargo bench`; without it (`cargo test --benches`) the run is quick
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let report = ending::measured(RUN_DEADLINE, measure(&arguments)).await?;
    print!("{}", report.render(arguments.markdown));
    Ok(())
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let quick = arguments.quick || !arguments.bench;
    let wanted = |section: &str| {
        let filter = arguments.filter.as_deref();
        filter.is_none_or(|filter| section.contains(filter))
    };
    let mut report = Report::default();
    if wanted("calls") {
        calls::run(&mut report, quick).await?;
    }
    for latency in [Duration::ZERO, Duration::from_millis(50)] {
        if wanted(&format!("load-{}ms", latency.as_millis())) {
            load::run(&mut report, latency, quick).await?;
        }
    }
    if wanted("memory") {
        memory::run(&mut report, quick).await?;
    }
    if wanted("tracing") {
        tracing::run(&mut report, quick).await?;
    }
    if report.is_empty() {
        bail!("no section is called that; see --help");
    }
    let noise = ("busy with something else, at most", report.disturbance());
    report.add(machine::table(noise));
    if quick {
        report.drop_aims();
    }
    Ok(report)
}
