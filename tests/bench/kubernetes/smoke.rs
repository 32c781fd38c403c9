//! Without `--bench` this is a test: a run of each section with tiny numbers, none of them judged.

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use testbed::error::Error;
use testbed::tools::skipped;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::ground::Tools;
use super::outage::Kind;
use super::report::Report;
use super::{attach, cycles, outage, thousand};

/// Half a minute each on an idle machine, in a debug build.
const LIMIT: Duration = Duration::from_mins(5);

/// Each has a control plane of its own.
const AT_ONCE: usize = 2;

/// The sections.
const SECTIONS: [&str; 4] = ["attach", "thousand", "cycles", "failover"];

pub(crate) fn run() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let trials = SECTIONS.map(|section| {
        let name = format!("the_benchmark_{section}_comes_to_its_figures");
        let told = name.clone();
        Trial::test(name, move || try_out(section, &told))
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn try_out(section: &str, name: &str) -> Result<(), Failed> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let tools = match runtime.block_on(Tools::find()) {
        Ok(tools) => tools,
        Err(Error::Unavailable(why)) => {
            skipped(name, &why);
            return Ok(());
        }
        Err(error) => return Err(error.to_string().into()),
    };
    let measured = runtime.block_on(async { timeout(LIMIT, measure(section, &tools)).await });
    let mut report = measured
        .map_err(|_| format!("it did not end within {LIMIT:?}"))?
        .map_err(|error| format!("{error:#}"))?;
    // Too little was measured to be judged.
    report.drop_aims();
    if report.is_empty() {
        return Err("it measured nothing".into());
    }
    println!("{}", report.render(false));
    Ok(())
}

async fn measure(section: &str, tools: &Tools) -> anyhow::Result<Report> {
    let mut report = Report::default();
    match section {
        "attach" => {
            let amount = attach::Amount {
                alone: 1,
                together: 3,
                rounds: 1,
            };
            attach::run(&mut report, tools, amount).await?;
        }
        "thousand" => {
            let amount = thousand::Amount {
                attachments: 10,
                nodes: 2,
            };
            thousand::run(&mut report, tools, amount).await?;
        }
        "cycles" => {
            let amount = cycles::Amount {
                volumes: 64,
                span: Duration::from_secs(1),
            };
            cycles::run(&mut report, tools, amount).await?;
        }
        _ => {
            let amount = outage::Amount {
                samples: 1,
                beds: 1,
            };
            outage::run(&mut report, tools, &[Kind::Term], amount).await?;
        }
    }
    Ok(report)
}
