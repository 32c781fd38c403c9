//! The `rds-csi` binary: parse the command line, run one role, return its exit code.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use rds_csi::cli::{Cli, Command};
use rds_csi::config::{Config, traces};
use rds_csi::task::signals::Signals;
use rds_csi::{controller, operator, telemetry, version};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// How long the last spans may take after an orderly end: a collector that is well takes them in
/// milliseconds, and Kubernetes kills a pod 15 s after its calls were drained.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The same after a failure. A process that has lost leadership is ended 0.7 s after the loss.
const LAST_SPANS_IN_HASTE: Duration = Duration::from_millis(300);

/// What shells and clap use for a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Also --help and --version, whose exit code is 0.
        Err(answer) if answer.print().is_ok() => {
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(USAGE));
        }
        Err(_) => return ExitCode::from(USAGE),
    };
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            // For the case that the error is about logging itself.
            if !tracing::dispatcher::has_been_set() {
                eprintln!("rds-csi: {error:#}");
            }
            error!(
                error = format!("{error:#}"),
                "the process ends with an error"
            );
            ExitCode::FAILURE
        }
    }
}

/// Runs one role until it ends, or until the second signal.
fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { log, command } = cli;
    let filter = log.log_level.as_deref();
    let filter = filter.unwrap_or(command.default_filter());
    let traces = match &command {
        Command::Controller(args) => traces::traces(args),
        _ => None,
    };
    let telemetry = telemetry::init(log.log_format, filter, traces.as_ref())?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let code = runtime.block_on(async {
        let signals = Signals::install().context("cannot catch signals")?;
        let stop = CancellationToken::new();
        tokio::select! {
            ended = run(command, stop.clone()) => ended.map(|()| ExitCode::SUCCESS),
            code = signals.twice(stop) => Ok(ExitCode::from(code)),
        }
    });
    // Work that is still blocked in a system call must not hold up the end of the process.
    runtime.shutdown_background();
    telemetry.finish(match code {
        Ok(_) => LAST_SPANS,
        Err(_) => LAST_SPANS_IN_HASTE,
    });
    code
}

async fn run(command: Command, stop: CancellationToken) -> anyhow::Result<()> {
    match command {
        Command::Controller(args) => controller::run(Config::try_from(*args)?, stop).await,
        #[cfg(feature = "sim")]
        Command::Sim(options) => rds_csi::sim::options::run(*options, stop).await,
        #[cfg(feature = "demo")]
        Command::Demo(rds_csi::cli::DemoArgs {
            once,
            json,
            sabotage,
            standalone,
        }) => {
            use rds_csi::demo::options::{Options, Scene, run};
            let scene = if standalone {
                Scene::Story
            } else {
                Scene::Failover
            };
            let options = Options {
                scene,
                once,
                json,
                sabotage,
            };
            run(options, stop).await
        }
        Command::Status(args) => operator::status::run(*args, stop).await,
        Command::Explain(args) => operator::explain::run(*args, stop).await,
        Command::Trace(args) => operator::trace::run(args, stop).await,
        Command::Drain(args) => operator::drain(args, stop).await,
        Command::LogLevel(args) => operator::log_level(args, stop).await,
        Command::Version(args) => version::print(args.json),
    }
}
