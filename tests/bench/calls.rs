//! Each call by itself: one caller, no latency, so that round trips and processor time can be counted.

use std::time::Duration;

use super::client::{Client, Volume};
use super::figures::{latencies, ms};
use super::report::{Bound, Report, Table};
use super::rig::{Rig, Spent};
use super::samples::{Samples, Summary};

/// Enough for a p99 of ten samples, and for 100 ms of processor time, of which the kernel counts
/// hundredths of a second.
const CALLS: u32 = 1_000;
const CALLS_QUICK: u32 = 100;

/// The calls, in the order in which a volume sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Publish,
    PublishAgain,
    Unpublish,
    UnpublishAgain,
    Delete,
}

const CALLS_IN_ORDER: [(Call, &str); 5] = [
    (Call::Publish, "ControllerPublishVolume"),
    (Call::PublishAgain, "the same again"),
    (Call::Unpublish, "ControllerUnpublishVolume"),
    (Call::UnpublishAgain, "the same again"),
    (Call::Delete, "DeleteVolume"),
];

pub(crate) async fn run(report: &mut Report, quick: bool) -> anyhow::Result<()> {
    let count = if quick { CALLS_QUICK } else { CALLS };
    eprintln!("calls: each call {count} times, one caller");
    let (mut rig, _) = Rig::start().await?;
    let mut client = rig.client();
    let mut table = Table::new(
        "Each call: 1 caller, no command latency",
        &[
            "call",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "calls/s",
            "round trips",
            "CPU ms",
        ],
    );

    let before = rig.read().await?;
    let mut samples = Samples::default();
    let mut volumes = Vec::new();
    for number in 0..count as usize {
        let (volume, took) = client.create(number).await?;
        volumes.push(volume);
        samples.push(took);
    }
    let spent = rig.read().await?.since(&before);
    report.disturbed(spent.disturbance());
    table.row(row("CreateVolume", samples.summary(), &spent, count));

    for (call, name) in CALLS_IN_ORDER {
        let before = rig.read().await?;
        let mut samples = Samples::default();
        for volume in &volumes {
            samples.push(make(&mut client, call, volume).await?);
        }
        let spent = rig.read().await?.since(&before);
        report.disturbed(spent.disturbance());
        let summary = samples.summary();
        aim(report, call, &summary, &spent, count);
        table.row(row(name, summary, &spent, count));
    }
    report.add(table);
    Ok(())
}

async fn make(client: &mut Client, call: Call, volume: &Volume) -> anyhow::Result<Duration> {
    match call {
        Call::Publish | Call::PublishAgain => client.publish(volume).await,
        Call::Unpublish | Call::UnpublishAgain => client.unpublish(volume).await,
        Call::Delete => client.delete(volume).await,
    }
}

fn aim(report: &mut Report, call: Call, summary: &Summary, spent: &Spent, count: u32) {
    let trips = spent.commands as f64 / f64::from(count);
    if call == Call::Publish {
        let (p50, p99) = (ms(summary.p50), ms(summary.p99));
        report.aim("Publish p50, 1 caller", Bound::AtMost(3.0), p50, "ms");
        report.aim("Publish p99, 1 caller", Bound::AtMost(8.0), p99, "ms");
        let what = "RouterOS round trips of Publish";
        report.aim(what, Bound::AtMost(1.0), trips, "");
    } else if call == Call::Unpublish {
        let what = "RouterOS round trips of Unpublish";
        report.aim(what, Bound::AtMost(1.0), trips, "");
    }
}

fn row(name: &str, summary: Summary, spent: &Spent, count: u32) -> Vec<String> {
    let count = f64::from(count);
    let mut cells = vec![name.to_owned()];
    cells.extend(latencies(&summary));
    cells.push(format!("{:.0}", count / spent.wall.as_secs_f64()));
    cells.push(format!("{:.2}", spent.commands as f64 / count));
    cells.push(format!("{:.2}", ms(spent.controller) / count));
    cells
}
