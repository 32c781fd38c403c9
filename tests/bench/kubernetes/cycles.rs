//! ControllerPublishVolume and ControllerUnpublishVolume at the leader's socket, with the Kubernetes
//! API behind it: the driver alone, without the pace of attacher and controller-manager.

use std::time::Duration;

use rds_csi::workload::cluster::Blow;
use testbed::bed::{Bed, Options};
use testbed::control_plane::Component;
use testbed::pod::Pod;
use testbed::workload::LONG;

use super::client::{Client, Volume};
use super::figures::{latencies, ms};
use super::fleet::{self, Until};
use super::ground::{Tools, caller, on_bed};
use super::processes::{BENCH, LEADER, Reading};
use super::report::{Bound, Report, Table};
use super::requests::{self, Requests};
use super::seed::Seed;

/// 1 is a person, 64 every node of a cluster coming back at once.
const CALLERS: [usize; 2] = [1, 64];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Volumes that the callers go round.
    pub(crate) volumes: usize,
    /// For each number of callers.
    pub(crate) span: Duration,
}

/// What Kubernetes says about the attachments while they are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attachments {
    /// Being deleted: external-attacher calls then, and only then.
    Leaving,
    /// None: the call is repeated, or comes from somebody else.
    Missing,
}

pub(crate) async fn run(report: &mut Report, tools: &Tools, amount: Amount) -> anyhow::Result<()> {
    let ground = tools.ground().await?;
    let options = Options {
        nodes: Vec::new(),
        ..Options::default()
    };
    on_bed(&ground, "cycles", options, async |bed| {
        measure(report, bed, amount).await
    })
    .await
}

async fn measure(report: &mut Report, bed: &Bed, amount: Amount) -> anyhow::Result<()> {
    // Nobody else acts on what is made by hand here.
    bed.plane().stop(Component::ControllerManager).await?;
    bed.plane().stop(Component::Scheduler).await?;
    for pod in bed.deployment().pods() {
        pod.container("csi-attacher")?.hit(Blow::Freeze)?;
    }
    let leader = bed.deployment().leader(LONG).await?;
    let client = caller(&leader).await?;
    let seed = Seed {
        client: bed.client().clone(),
        driver: bed.driver().to_owned(),
        namespace: bed.workload().namespace().to_owned(),
    };
    eprintln!("cycles: making {} volumes", amount.volumes);
    let volumes = fleet::create(&client, 0, amount.volumes, 64).await?;
    seed.nodes(&volumes).await?;
    seed.volumes(&volumes).await?;
    let title = format!(
        "Publish and unpublish at the socket, {} volumes",
        volumes.len()
    );
    let mut asked = requests::table(&title);
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
            "Kubernetes requests per cycle",
            "CPU ms per cycle: leader",
            "RDS and callers",
            "API server",
            "etcd",
        ],
    );
    let scene = Scene {
        bed,
        leader: &leader,
        client,
        volumes: &volumes,
        span: amount.span,
    };
    for attachments in [Attachments::Missing, Attachments::Leaving] {
        if attachments == Attachments::Leaving {
            seed.leaving(&volumes).await?;
        }
        for callers in CALLERS {
            level(
                report,
                [&mut table, &mut asked],
                &scene,
                attachments,
                callers,
            )
            .await?;
        }
    }
    report.add(table);
    report.add(asked);
    Ok(())
}

struct Scene<'a> {
    bed: &'a Bed,
    leader: &'a Pod,
    client: Client,
    volumes: &'a [Volume],
    span: Duration,
}

/// One number of callers: one round to warm up, then the measured time.
async fn level(
    report: &mut Report,
    [table, asked]: [&mut Table; 2],
    scene: &Scene<'_>,
    attachments: Attachments,
    callers: usize,
) -> anyhow::Result<()> {
    let Scene {
        bed,
        leader,
        client,
        volumes,
        span,
    } = scene;
    let case = match attachments {
        Attachments::Leaving => "VolumeAttachment being deleted",
        Attachments::Missing => "no VolumeAttachment",
    };
    eprintln!("cycles: {case}, {callers} callers, {span:?}");
    // One caller alone would need minutes for the round of all.
    fleet::cycle(client, volumes, 64, Until::Cycles(volumes.len() as u64)).await?;
    let requests = Requests::from_now_on(bed.plane().audit_log(), bed.workload().namespace())?;
    let before = Reading::take(bed, leader)?;
    let done = fleet::cycle(client, volumes, callers, Until::Elapsed(*span)).await?;
    let spent = Reading::take(bed, leader)?.since(&before);
    let counts = requests.count()?;

    let cycles = f64::from(done.cycles);
    let during = format!("{case}: {callers}");
    requests::add(asked, &during, &counts, cycles);
    let rate = cycles / spent.wall.as_secs_f64();
    let (publish, unpublish) = (done.publish.summary(), done.unpublish.summary());
    let mut first = vec![format!("{case}: {callers}, publish")];
    first.extend(latencies(&publish));
    first.push(format!("{rate:.0}"));
    first.push(format!("{:.2}", spent.commands as f64 / cycles / 2.0));
    let all: u64 = counts.values().sum();
    first.push(format!("{:.2}", all as f64 / cycles));
    for program in [LEADER, BENCH, "kube-apiserver", "etcd"] {
        first.push(format!("{:.2}", ms(spent.of(program)) / cycles));
    }
    table.row(first);
    let mut second = vec![format!("{case}: {callers}, unpublish")];
    second.extend(latencies(&unpublish));
    second.extend(std::iter::repeat_n(String::new(), 7));
    table.row(second);

    if attachments == Attachments::Leaving && callers == 1 {
        let limit = Bound::AtMost(3.0);
        report.aim("Publish p50, 1 caller", limit, ms(publish.p50), "ms");
        report.aim("Unpublish p50, 1 caller", limit, ms(unpublish.p50), "ms");
    }
    if attachments == Attachments::Leaving && callers == 64 {
        let what = "cycles with 64 callers";
        report.aim(what, Bound::AtLeast(1000.0), rate, "/s");
    }
    Ok(())
}
