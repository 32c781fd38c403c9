//! Memory of the controller by number of volumes and over time, and how long it takes to start.

use std::time::Duration;

use anyhow::ensure;

use super::client::Volume;
use super::figures::{mib, ms};
use super::fleet::{self, Half, Until};
use super::proc::Memory;
use super::report::{Bound, Report, Table};
use super::rig::Rig;

const CALLERS: usize = 64;

/// How often memory is looked at during the long run; what the first step does to it is warming up.
const STEPS: u64 = 5;

/// What a real RDS takes for a short command.
const SLOW: Duration = Duration::from_millis(50);

/// How much is done.
struct Amount {
    some: usize,
    many: usize,
    cycles: u64,
    cycled: usize,
}

/// Cycles go round 1,000 of the volumes: with 64 callers each is used about once a second.
const FULL: Amount = Amount {
    some: 1_000,
    many: 10_000,
    cycles: 100_000,
    cycled: 1_000,
};
const QUICK: Amount = Amount {
    some: 100,
    many: 1_000,
    cycles: 2_000,
    cycled: 100,
};

pub(crate) async fn run(report: &mut Report, quick: bool) -> anyhow::Result<()> {
    let amount = if quick { QUICK } else { FULL };
    let Amount { some, many, .. } = amount;
    let header = ["controller", "VmRSS MiB", "of it heap", "VmHWM MiB"];
    let mut table = Table::new("Memory of the controller", &header);
    let mut starts = Table::new(
        "Start-up: from exec to Probe ready",
        &[
            "volumes on the RDS",
            "ms",
            "round trips",
            "controller CPU ms",
        ],
    );

    let (mut rig, took) = Rig::start().await?;
    let reading = rig.read().await?;
    let name = "no volumes, no latency".to_owned();
    starts.row(start_row(name, took, reading.commands, reading.controller));
    table.row(row("started, no volumes", rig.memory()?));

    eprintln!("memory: making {many} volumes");
    let mut volumes = fleet::create(&rig.client(), 0, some, CALLERS).await?;
    table.row(row(&format!("{some} volumes made"), rig.memory()?));
    volumes.extend(fleet::create(&rig.client(), some, many - some, CALLERS).await?);
    table.row(row(&format!("{many} volumes made"), rig.memory()?));
    let listed = list(&mut rig, many, &mut table).await?;
    fleet::all(&rig.client(), &volumes, CALLERS, Half::Publish).await?;
    table.row(row(&format!("{many} volumes published"), rig.memory()?));
    let published = list(&mut rig, many, &mut table).await?;

    restart(&mut rig, many, Duration::ZERO, &mut starts).await?;
    let restarted = rig.memory()?;
    let name = format!("started with {many} published volumes");
    table.row(row(&name, restarted));

    fleet::all(&rig.client(), &volumes, CALLERS, Half::Unpublish).await?;
    table.row(row("all of them unpublished", rig.memory()?));
    let used = volumes.get(..amount.cycled).unwrap_or(&volumes);
    let growth = endure(&mut rig, used, amount.cycles, &mut table).await?;
    let ended = list(&mut rig, many, &mut table).await?;
    restart(&mut rig, many, SLOW, &mut starts).await?;
    report.add(table);
    report.add(starts);

    let most = [listed, published, restarted, ended].map(|memory| memory.resident);
    let most = most.into_iter().max().unwrap_or_default();
    let what = "VmRSS with 10,000 volumes, at worst";
    report.aim(what, Bound::AtMost(30.0), mib(most), "MiB");
    // A leak of 13 bytes in each cycle would be 1 MiB.
    let what = "growth of VmRSS over the last 80,000 of 100,000 cycles";
    report.aim(what, Bound::AtMost(1.0), growth, "MiB");
    Ok(())
}

/// Starts the controller anew on an RDS with `volumes` volumes and that latency.
async fn restart(
    rig: &mut Rig,
    volumes: usize,
    latency: Duration,
    starts: &mut Table,
) -> anyhow::Result<()> {
    eprintln!("memory: starting with {volumes} volumes, {latency:?} latency");
    rig.set_latency(latency).await?;
    let before = rig.read().await?;
    let took = rig.restart().await?;
    let reading = rig.read().await?;
    let commands = reading.commands - before.commands;
    let name = format!("{volumes} volumes, {} ms latency", latency.as_millis());
    starts.row(start_row(name, took, commands, reading.controller));
    Ok(())
}

async fn list(rig: &mut Rig, expected: usize, table: &mut Table) -> anyhow::Result<Memory> {
    let before = rig.read().await?;
    let (found, took) = rig.client().list().await?;
    ensure!(
        found == expected,
        "ListVolumes told of {found} volumes, not {expected}"
    );
    let spent = rig.read().await?.since(&before);
    let name = format!(
        "after ListVolumes of all ({:.0} ms, {} round trips)",
        ms(took),
        spent.commands
    );
    let memory = rig.memory()?;
    table.row(row(&name, memory));
    Ok(memory)
}

/// Cycles for minutes; by how many MiB memory grew after the first fifth.
async fn endure(
    rig: &mut Rig,
    volumes: &[Volume],
    cycles: u64,
    table: &mut Table,
) -> anyhow::Result<f64> {
    let mut settled = 0;
    let mut last = 0;
    for step in 1..=STEPS {
        let part = Until::Cycles(cycles / STEPS);
        fleet::cycle(&rig.client(), volumes, CALLERS, part).await?;
        let memory = rig.memory()?;
        let done = cycles / STEPS * step;
        eprintln!("memory: {done} cycles, {:.1} MiB", mib(memory.resident));
        table.row(row(&format!("after {done} cycles"), memory));
        if step == 1 {
            settled = memory.resident;
        }
        last = memory.resident;
    }
    Ok(mib(last) - mib(settled))
}

fn row(name: &str, memory: Memory) -> Vec<String> {
    let Memory {
        resident,
        peak,
        anonymous,
    } = memory;
    let figures = [resident, anonymous, peak].map(|kib| format!("{:.1}", mib(kib)));
    std::iter::once(name.to_owned()).chain(figures).collect()
}

fn start_row(name: String, took: Duration, commands: u64, cpu: Duration) -> Vec<String> {
    vec![
        name,
        format!("{:.0}", ms(took)),
        commands.to_string(),
        format!("{:.0}", ms(cpu)),
    ]
}
