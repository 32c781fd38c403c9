//! Publish and unpublish under load: how latency and rate change with callers and with the RDS.

use std::time::Duration;

use super::client::Volume;
use super::figures::{latencies, ms};
use super::fleet::{self, Until};
use super::report::{Bound, Report, Table};
use super::rig::Rig;

/// 1 is a person, 8 a busy hour, 64 every node of a cluster coming back at once.
const CALLERS: [usize; 3] = [1, 8, 64];

/// Volumes of each caller.
const VOLUMES_EACH: usize = 4;

/// Callers that make the volumes: as many as external-provisioner has workers at most.
const CREATORS: usize = 64;

pub(crate) async fn run(report: &mut Report, latency: Duration, quick: bool) -> anyhow::Result<()> {
    // With a latency of 50 ms a single caller makes ten cycles a second: 20 s are 200 samples.
    let span = Duration::from_secs(match (quick, latency.is_zero()) {
        (true, _) => 2,
        (false, true) => 8,
        (false, false) => 20,
    });
    let title = format!(
        "Publish and unpublish: {} ms command latency",
        latency.as_millis()
    );
    let mut table = Table::new(
        title,
        &[
            "callers, call",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "cycles/s",
            "round trips per call",
            "CPU ms per cycle: controller",
            "simulator",
            "callers",
        ],
    );
    let (mut rig, _) = Rig::start().await?;
    let most = CALLERS.into_iter().max().unwrap_or(1) * VOLUMES_EACH;
    let volumes = fleet::create(&rig.client(), 0, most, CREATORS).await?;
    rig.set_latency(latency).await?;
    for callers in CALLERS {
        eprintln!(
            "load-{}ms: {callers} callers, {span:?}",
            latency.as_millis()
        );
        let share = volumes.get(..callers * VOLUMES_EACH).unwrap_or(&volumes);
        level(report, &mut table, &mut rig, share, callers, span, latency).await?;
    }
    report.add(table);
    Ok(())
}

/// One number of callers: one round to warm up, then the measured time.
async fn level(
    report: &mut Report,
    table: &mut Table,
    rig: &mut Rig,
    volumes: &[Volume],
    callers: usize,
    span: Duration,
    latency: Duration,
) -> anyhow::Result<()> {
    let client = rig.client();
    let round = Until::Cycles(volumes.len() as u64);
    fleet::cycle(&client, volumes, callers, round).await?;

    let before = rig.read().await?;
    let done = fleet::cycle(&client, volumes, callers, Until::Elapsed(span)).await?;
    let spent = rig.read().await?.since(&before);
    report.disturbed(spent.disturbance());

    let cycles = f64::from(done.cycles);
    let rate = cycles / spent.wall.as_secs_f64();
    let controller = ms(spent.controller) / cycles;
    let mut first = vec![format!("{callers}, publish")];
    first.extend(latencies(&done.publish.summary()));
    first.push(format!("{rate:.0}"));
    first.push(format!("{:.2}", spent.commands as f64 / cycles / 2.0));
    for process in [spent.controller, spent.sim, spent.client] {
        first.push(format!("{:.2}", ms(process) / cycles));
    }
    table.row(first);
    let mut second = vec![format!("{callers}, unpublish")];
    second.extend(latencies(&done.unpublish.summary()));
    second.extend(std::iter::repeat_n(String::new(), 5));
    table.row(second);

    if callers == 64 && latency.is_zero() {
        let what = "cycles with 64 callers";
        report.aim(what, Bound::AtLeast(1000.0), rate, "/s");
        let what = "controller CPU of a cycle, 64 callers";
        report.aim(what, Bound::AtMost(1.5), controller, "ms");
    }
    if callers == 1 && latency.is_zero() {
        let what = "controller CPU of a cycle, 1 caller";
        report.aim(what, Bound::AtMost(1.5), controller, "ms");
    }
    Ok(())
}
