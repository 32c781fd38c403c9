//! From a pod to its attached volume, and to the first write: everything that Kubernetes and the
//! sidecars do in between is stock.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use testbed::bed::{Bed, Options};
use testbed::workload::{LONG, PodWanted, Volume};
use tokio::time::Instant;

use super::figures::latencies;
use super::ground::{Tools, on_bed};
use super::report::{Report, Table};
use super::samples::Samples;
use super::witness::{Witness, first_writes};

/// As many nodes as fifty pods are spread over.
const NODES: usize = 10;
/// kube-controller-manager alone needs seconds for fifty pods.
const LIMIT: Duration = Duration::from_mins(2);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Pods one after the other.
    pub(crate) alone: usize,
    /// Pods at once.
    pub(crate) together: usize,
    /// How often.
    pub(crate) rounds: usize,
}

/// Times of pods.
#[derive(Debug, Default)]
struct Times {
    /// From the pod to its VolumeAttachment: scheduler and controller-manager.
    asked: Samples,
    /// From there to `attached`: external-attacher and driver.
    answered: Samples,
    /// From the pod to `attached`.
    attached: Samples,
    /// From the pod to the first write.
    written: Samples,
}

pub(crate) async fn run(report: &mut Report, tools: &Tools, amount: Amount) -> anyhow::Result<()> {
    let ground = tools.ground().await?;
    let options = Options {
        nodes: (0..NODES).map(|number| format!("n{number}")).collect(),
        ..Options::default()
    };
    let Amount {
        alone,
        together,
        rounds,
    } = amount;
    let (one, many) = on_bed(&ground, "attach", options, async |bed| {
        let witness = Witness::new(bed.client(), bed.driver());
        let mut one = Times::default();
        eprintln!("attach: {alone} pods one after the other");
        for number in 0..alone {
            let names = [format!("alone-{number}")];
            pods(bed, &witness, &names, &mut one).await?;
        }
        let mut many = Times::default();
        for round in 0..rounds {
            eprintln!("attach: {together} pods at once, round {}", round + 1);
            let names = (0..together).map(|number| format!("round-{round}-{number}"));
            pods(bed, &witness, &names.collect::<Vec<_>>(), &mut many).await?;
        }
        Ok((one, many))
    })
    .await?;
    let title = "From a pod to its volume, through scheduler, controller-manager and attacher";
    let header = ["pods", "p50 ms", "p90 ms", "p99 ms", "max ms"];
    let mut table = Table::new(title, &header);
    one.rows(&format!("1 at a time, {alone} times"), &mut table);
    many.rows(&format!("{together} at once, {rounds} times"), &mut table);
    report.add(table);
    Ok(())
}

// === impl Times ===

impl Times {
    fn rows(self, how: &str, table: &mut Table) {
        let rows = [
            ("pod to VolumeAttachment", self.asked),
            ("VolumeAttachment to attached", self.answered),
            ("pod to attached", self.attached),
            ("pod to first write", self.written),
        ];
        for (what, samples) in rows {
            let mut row = vec![format!("{how}: {what}")];
            row.extend(latencies(&samples.summary()));
            table.row(row);
        }
    }
}

/// Makes a pod with a volume for each name, measures, and removes all of it.
async fn pods(
    bed: &Bed,
    witness: &Witness,
    names: &[String],
    times: &mut Times,
) -> anyhow::Result<()> {
    let user = bed.workload();
    let volumes = try_join_all(names.iter().map(|name| async move {
        user.claim(name).await?;
        user.bound(name, LONG).await
    }));
    let volumes = volumes.await?;
    let handles = volumes.iter().map(|volume| volume.handle.clone());
    let world = Arc::clone(bed.sim().world());
    let written = first_writes(world, bed.sim().world().now_seq(), handles.collect(), LIMIT);
    let made = try_join_all(names.iter().map(|name| async move {
        let claims = [name.as_str()];
        let begun = Instant::now();
        let pod = PodWanted {
            name,
            claims: &claims,
            node: None,
        };
        user.pod(&pod).await?;
        anyhow::Ok(begun)
    }));
    let (written, made) = tokio::try_join!(written, made)?;
    for (begun, Volume { name, handle }) in made.into_iter().zip(&volumes) {
        let attached = witness.attached(name, LIMIT).await?;
        let look = |seen: &super::witness::Seen| seen.made.get(name).copied();
        let asked = witness.wait("see the attachment", LIMIT, look).await?;
        let written = written.get(handle).context("a volume without a write")?;
        times.asked.push(asked - begun);
        times.answered.push(attached - asked);
        times.attached.push(attached - begun);
        times.written.push(*written - begun);
    }
    let ends = names.iter().map(|name| user.delete::<Pod>(name));
    try_join_all(ends).await?;
    let all_gone = |seen: &super::witness::Seen| {
        let mut names = volumes.iter().map(|volume| &volume.name);
        names.all(|name| seen.gone.contains_key(name)).then_some(())
    };
    witness.wait("detach", LIMIT, all_gone).await
}
