//! Three controllers, a leader that keeps dying, and volumes that keep moving.

mod blows;
mod director;
mod report;
mod show;
mod tally;
mod traffic;
mod visit;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::blows::KINDS;
use self::director::{Director, Halt};
use self::report::Report;
use self::show::Show;
use self::traffic::{NODES, VICTIMS};
use self::visit::{Mover, PATIENCE};
use crate::demo::options::Options;
use crate::sim::initiator::{Kernel, MachineConfig};
use crate::workload::cluster;

/// Volumes that move in order, one for each node.
const VOLUMES: usize = NODES.len();
/// Their size.
const GIB: i64 = 1 << 30;
/// How long all is well between two failovers.
const CALM: Duration = Duration::from_secs(4);
/// How soon a machine tries again after it has lost a session; Linux waits 10 s, and an audience
/// does not.
const RECONNECT: Duration = Duration::from_millis(500);
/// Where most Linux machines have a filesystem that every process may lock a file on.
const LOCKS: &str = "/dev/shm";

/// Plays until every kind of failover was seen, or for ever.
///
/// # Errors
/// It cannot start, its output cannot be written, or anything was not as it must be.
pub(super) async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let show = if options.json {
        Show::silent()
    } else {
        Show::stdout()
    };
    show.opening().context("print")?;
    let mut director = tokio::select! {
        started = Director::start(cluster_options()?, show) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let played = tokio::select! {
        played = Box::pin(play(&mut director, options)) => played.map(|()| true),
        () = stop.cancelled() => Ok(false),
    };
    let report = Report::of(&director, matches!(played, Ok(true)));
    if let Err(Halt::Broken(error)) = played {
        director.cluster.shutdown().await;
        return Err(error);
    }
    if options.json {
        let json = serde_json::to_string(&report).context("write the report")?;
        writeln!(io::stdout(), "{json}").context("print the report")?;
    } else {
        director
            .show
            .summary(&report)
            .context("print the summary")?;
    }
    director.cluster.shutdown().await;
    match report.violations.as_slice() {
        [] => Ok(()),
        [first, ..] => bail!("{} violations, first: {first}", report.violations.len()),
    }
}

fn cluster_options() -> anyhow::Result<cluster::Options> {
    let program = std::env::current_exe().context("find this program's own file")?;
    let nodes = NODES.iter().chain(&VICTIMS);
    Ok(cluster::Options {
        nodes: nodes.map(|&node| node.to_owned()).collect(),
        locks: Some(PathBuf::from(LOCKS)).filter(|folder| folder.is_dir()),
        ..cluster::Options::of(program)
    })
}

async fn play(director: &mut Director, options: Options) -> Result<(), Halt> {
    let leader = director.leader().await?;
    director.say(&format!("{leader} leads and has read the RDS"))?;
    let stop = CancellationToken::new();
    let mut movers = movers(director, &stop, options.sabotage).await?;
    director.pass(CALM).await?;
    for kind in KINDS.into_iter().cycle().take(if options.once {
        KINDS.len()
    } else {
        usize::MAX
    }) {
        director.fail_over(kind).await?;
        director.pass(CALM).await?;
    }
    director.say("enough: the volumes come to rest")?;
    stop.cancel();
    let rest = async { while movers.join_next().await.is_some() {} };
    let rest = timeout(PATIENCE, rest);
    tokio::pin!(rest);
    loop {
        tokio::select! {
            rested = &mut rest => {
                if rested.is_err() {
                    director.tally.violation("the volumes did not come to rest");
                }
                return director.look();
            }
            ticked = director.tick() => ticked?,
        }
    }
}

/// Makes the volumes and the machines, and sets them in motion. They end with the set.
async fn movers(
    director: &mut Director,
    stop: &CancellationToken,
    sabotage: bool,
) -> Result<JoinSet<()>, Halt> {
    let sim = director.cluster.sim().clone();
    for node in NODES.into_iter().chain(VICTIMS) {
        // The older kernel: it keeps a lost controller, and what waits in it, and tries for ever.
        sim.add_machine(MachineConfig {
            reconnect_delay: RECONNECT,
            ..MachineConfig::new(node, Kernel::V6_1)
        });
        sim.run_machine(node);
    }
    let mut movers = JoinSet::new();
    for number in 0..=VOLUMES {
        let name = format!("pvc-{number}");
        let provisioner = director.cluster.provisioner();
        let made = provisioner.create(&name, GIB, false, PATIENCE).await;
        let volume = made.map_err(|error| Halt::broken("make a volume", error))?;
        let placement = director.cluster.placement().clone();
        let added = placement.add_volume(&volume).await;
        added.map_err(|error| Halt::broken("make a volume known", error))?;
        let mover = Mover {
            sim: sim.clone(),
            placement,
            volume,
            tally: director.tally.clone(),
        };
        if number < VOLUMES {
            movers.spawn(traffic::wander(mover, number, stop.clone()));
        } else {
            movers.spawn(traffic::torn_away(mover, sabotage, stop.clone()));
        }
    }
    director.say(&format!("{} volumes are on the move", VOLUMES + 1))?;
    Ok(movers)
}
