//! Many VolumeAttachments at once, through the stock external-attacher: at the pace that the chart
//! allows it, and without a limit on its requests.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use testbed::bed::{Bed, Options};
use testbed::control_plane::Component;
use testbed::pod::Pod;
use tokio::time::Instant;

use super::client::Volume;
use super::figures::{mib, ms};
use super::fleet;
use super::ground::{Tools, caller, on_bed};
use super::proc;
use super::processes::{LEADER, Reading, Spent};
use super::report::{Report, Table};
use super::requests::{self, Counts, Requests};
use super::seed::Seed;
use super::witness::{Seen, Witness};

/// At 50 requests a second, and three or four for each attachment, a thousand take a minute or more.
const LIMIT: Duration = Duration::from_mins(5);
/// More than an API server on two processors can answer.
const UNLIMITED: u32 = 10_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Attachments.
    pub(crate) attachments: usize,
    /// Nodes that they are spread over.
    pub(crate) nodes: usize,
}

/// Attaching all, or detaching all.
struct Half {
    what: &'static str,
    /// From the first VolumeAttachment that was made or deleted to the last that was done.
    took: Duration,
    spent: Spent,
    requests: Counts,
    memory: [(&'static str, proc::Memory); 2],
    /// Calls that failed, as external-attacher says.
    failures: u64,
    /// Changes of leader: figures of the leader are none where it changed.
    changes: i32,
}

pub(crate) async fn run(report: &mut Report, tools: &Tools, amount: Amount) -> anyhow::Result<()> {
    let limit = json!({"kubeApiQps": UNLIMITED, "kubeApiBurst": UNLIMITED});
    let cases = [
        ("as the chart has it", json!({})),
        (
            "external-attacher without a limit",
            json!({"sidecars": {"attacher": limit}}),
        ),
    ];
    let mut all = Vec::new();
    for (name, values) in cases {
        eprintln!("thousand: {} attachments, {name}", amount.attachments);
        for half in measure(tools, amount, values).await? {
            all.push((name, half));
        }
    }
    let Amount { attachments, nodes } = amount;
    let title = format!("{attachments} VolumeAttachments on {nodes} nodes");
    report.add(times(&title, amount, &all));
    report.add(processor_time(&title, &all));
    report.add(memory(&title, &all));
    report.add(asked(&title, amount, &all));
    Ok(())
}

async fn measure(tools: &Tools, amount: Amount, values: Value) -> anyhow::Result<[Half; 2]> {
    let ground = tools.ground().await?;
    let options = Options {
        nodes: (0..amount.nodes)
            .map(|number| format!("n{number}"))
            .collect(),
        values,
        ..Options::default()
    };
    on_bed(&ground, "thousand", options, async |bed| {
        // They would take PersistentVolumes without claims for abandoned.
        bed.plane().stop(Component::ControllerManager).await?;
        bed.plane().stop(Component::Scheduler).await?;
        let leader = bed.deployment().leader(LIMIT).await?;
        let seed = Seed {
            client: bed.client().clone(),
            driver: bed.driver().to_owned(),
            namespace: bed.workload().namespace().to_owned(),
        };
        let volumes = volumes(bed, &leader, amount.attachments).await?;
        seed.volumes(&volumes).await?;
        let witness = Witness::new(bed.client(), bed.driver());
        let count = volumes.len();
        let has_all = move |seen: &Seen| (seen.attached.len() == count).then_some(());
        let attach = half(bed, &leader, &witness, "attach", async || {
            seed.attach(&volumes).await?;
            witness.wait("attach all", LIMIT, has_all).await
        });
        let attach = attach.await?;
        let has_none = move |seen: &Seen| (seen.gone.len() == count).then_some(());
        let detach = half(bed, &leader, &witness, "detach", async || {
            seed.detach(&volumes).await?;
            witness.wait("detach all", LIMIT, has_none).await
        });
        let detach = detach.await?;
        Ok([attach, detach])
    })
    .await
}

/// Volumes of the RDS, each for one of the bed's nodes.
async fn volumes(bed: &Bed, leader: &Pod, count: usize) -> anyhow::Result<Vec<Volume>> {
    let client = caller(leader).await?;
    let mut volumes = fleet::create(&client, 0, count, 64).await?;
    for (volume, node) in volumes.iter_mut().zip(bed.nodes().iter().cycle()) {
        node.name().clone_into(&mut volume.node);
    }
    Ok(volumes)
}

async fn half(
    bed: &Bed,
    leader: &Pod,
    witness: &Witness,
    what: &'static str,
    work: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Half> {
    let requests = Requests::from_now_on(bed.plane().audit_log(), bed.workload().namespace())?;
    let (failures, lease) = (witness.failures(), bed.deployment().lease().await?);
    let before = Reading::take(bed, leader)?;
    let began = Instant::now();
    work().await?;
    let took = began.elapsed();
    let spent = Reading::take(bed, leader)?.since(&before);
    let changes = bed.deployment().lease().await?.transitions - lease.transitions;
    let pods = bed.deployment().pods();
    let follower = pods.iter().find(|pod| pod.uid() != leader.uid());
    let memory = |pod: &Pod| -> anyhow::Result<proc::Memory> {
        proc::memory(pod.driver()?.id().context("a driver has ended")?)
    };
    Ok(Half {
        what,
        took,
        spent,
        requests: requests.count()?,
        failures: witness.failures() - failures,
        changes,
        memory: [
            ("leader", memory(leader)?),
            ("follower", memory(follower.context("a follower")?)?),
        ],
    })
}

// === Tables ===

type Halves = [(&'static str, Half)];

fn times(title: &str, amount: Amount, all: &Halves) -> Table {
    let header = [
        "how",
        "s",
        "per s",
        "leader's CPU s",
        "CPU ms for each",
        "RouterOS round trips",
        "for each",
        "failed calls",
        "changes of leader",
    ];
    let mut table = Table::new(format!("{title}: time"), &header);
    let count = amount.attachments as f64;
    for (name, half) in all {
        let cpu = half.spent.of(LEADER);
        table.row(vec![
            format!("{name}: {}", half.what),
            format!("{:.1}", half.took.as_secs_f64()),
            format!("{:.0}", count / half.took.as_secs_f64()),
            format!("{:.2}", cpu.as_secs_f64()),
            format!("{:.2}", ms(cpu) / count),
            half.spent.commands.to_string(),
            format!("{:.2}", half.spent.commands as f64 / count),
            half.failures.to_string(),
            half.changes.to_string(),
        ]);
    }
    table
}

fn processor_time(title: &str, all: &Halves) -> Table {
    let columns: Vec<String> = all
        .iter()
        .map(|(name, half)| format!("{name}: {}", half.what))
        .collect();
    let header = std::iter::once("program").chain(columns.iter().map(String::as_str));
    let mut table = Table::new(format!("{title}: CPU seconds"), &header.collect::<Vec<_>>());
    let programs = all.first().map(|(_, half)| half.spent.cpu.keys());
    for program in programs.into_iter().flatten() {
        let cells = all
            .iter()
            .map(|(_, half)| format!("{:.2}", half.spent.of(program).as_secs_f64()));
        table.row(
            std::iter::once((*program).to_owned())
                .chain(cells)
                .collect(),
        );
    }
    table
}

fn memory(title: &str, all: &Halves) -> Table {
    let header = ["after", "VmRSS MiB", "of it heap", "VmHWM MiB"];
    let mut table = Table::new(format!("{title}: memory"), &header);
    for (name, half) in all {
        for (who, memory) in &half.memory {
            let proc::Memory {
                resident,
                peak,
                anonymous,
            } = *memory;
            let figures = [resident, anonymous, peak].map(|kib| format!("{:.1}", mib(kib)));
            let first = format!("{name}: {}, {who}", half.what);
            table.row(std::iter::once(first).chain(figures).collect());
        }
    }
    table
}

fn asked(title: &str, amount: Amount, all: &Halves) -> Table {
    let mut table = requests::table(title);
    for (name, half) in all {
        let during = format!("{name}: {}", half.what);
        requests::add(
            &mut table,
            &during,
            &half.requests,
            amount.attachments as f64,
        );
    }
    table
}
