//! Measures the driver on Kubernetes: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
//! stock sidecars as processes of this machine, three replicas as the chart has them, a simulated RDS.
//! `docs/benchmarks.md` says how to run it, what came out, and what bounds each figure.

#![allow(
    clippy::cast_precision_loss,
    reason = "a table shows three digits, a double has fifteen"
)]

#[path = "kubernetes/attach.rs"]
mod attach;
#[expect(
    dead_code,
    reason = "the benchmark `controller` makes more kinds of calls"
)]
mod client;
#[path = "kubernetes/cycles.rs"]
mod cycles;
mod ending;
mod figures;
#[expect(
    dead_code,
    reason = "the benchmark `controller` does one half at a time, too"
)]
mod fleet;
#[path = "kubernetes/ground.rs"]
mod ground;
mod machine;
mod noise;
#[path = "kubernetes/outage.rs"]
mod outage;
mod proc;
#[path = "kubernetes/processes.rs"]
mod processes;
mod report;
#[path = "kubernetes/requests.rs"]
mod requests;
mod samples;
#[path = "kubernetes/seed.rs"]
mod seed;
#[path = "kubernetes/smoke.rs"]
mod smoke;
#[path = "kubernetes/thousand.rs"]
mod thousand;
mod times;
#[path = "kubernetes/witness.rs"]
mod witness;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use ground::Tools;
use noise::Noise;
use outage::Kind;
use report::Report;

/// A hundred failovers of each kind from five clusters at a time take 25 minutes.
const RUN_DEADLINE: Duration = Duration::from_mins(90);

/// Benchmark on Kubernetes.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything, if nothing is named
    what: Vec<What>,
    /// Failovers of each kind
    #[arg(long, default_value_t = 20)]
    count: usize,
    /// Deployments side by side, for failovers; twice as many for crashes, which mostly wait
    #[arg(long, default_value_t = 5)]
    beds: usize,
    /// Pods one after the other
    #[arg(long, default_value_t = 30)]
    pods: usize,
    /// `VolumeAttachments` at once
    #[arg(long, default_value_t = 1_000)]
    attachments: usize,
    /// Seconds for each number of callers
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Print Markdown, as in docs/benchmarks.md
    #[arg(long)]
    markdown: bool,
    /// Given by `cargo bench`; without it the run shows only that everything works
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// From a pod to its attached volume
    Attach,
    /// Many `VolumeAttachments` at once
    Thousand,
    /// Calls at the leader's socket
    Cycles,
    /// SIGTERM: the leader's pod is deleted
    Term,
    /// SIGKILL, and the container is started again in its pod
    Crash,
    /// SIGKILL, and the pod is gone
    Gone,
}

impl What {
    /// The failover that it stands for.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Attach | Self::Thousand | Self::Cycles => None,
            Self::Term => Some(Kind::Term),
            Self::Crash => Some(Kind::Crash),
            Self::Gone => Some(Kind::Gone),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    // What cargo says to benchmarks; without it this is a test, and takes a test's arguments.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(smoke::run());
    }
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    runtime.block_on(run(&Arguments::parse()))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let report = ending::measured(RUN_DEADLINE, measure(arguments)).await?;
    print!("{}", report.render(arguments.markdown));
    Ok(())
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let wanted = |what: What| arguments.what.is_empty() || arguments.what.contains(&what);
    let tools = Tools::find().await?;
    let noise = Noise::from_now_on()?;
    let mut report = Report::default();
    if wanted(What::Attach) {
        let amount = attach::Amount {
            alone: arguments.pods,
            together: 50,
            rounds: 3,
        };
        attach::run(&mut report, &tools, amount).await?;
    }
    if wanted(What::Thousand) {
        let amount = thousand::Amount {
            attachments: arguments.attachments,
            nodes: 50,
        };
        thousand::run(&mut report, &tools, amount).await?;
    }
    if wanted(What::Cycles) {
        let amount = cycles::Amount {
            volumes: 2_000,
            span: Duration::from_secs(arguments.seconds),
        };
        cycles::run(&mut report, &tools, amount).await?;
    }
    let kinds = What::value_variants().iter().filter(|what| wanted(**what));
    let kinds: Vec<Kind> = kinds.filter_map(|what| what.kind()).collect();
    if !kinds.is_empty() {
        let amount = outage::Amount {
            samples: arguments.count,
            beds: arguments.beds,
        };
        outage::run(&mut report, &tools, &kinds, amount).await?;
    }
    report.disturbed(noise.processors()?);
    let noise = ("busy with something else, on average", report.disturbance());
    report.add(machine::table(noise));
    Ok(report)
}
