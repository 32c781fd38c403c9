//! `rds-csi status`: one replica, and through it the RDS.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::table::table;
use super::words::{age, decided};
use super::{INTERRUPTED, Origin, print, print_json};
use crate::admin::report::{Attachments, Events, Fencing, Rds, Role, Shard, StatusReport};
use crate::admin::serving;
use crate::cli::operator::StatusArgs;

/// How often `--watch` looks: fast enough to see a fail-over of seconds, and no load.
const LOOK: Duration = Duration::from_secs(1);
/// Moves the cursor to the upper left corner and clears the screen, on every terminal in use.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// What whoever was asked cannot know is said to be so: zeros would say that there is none.
const LEADER_KNOWS: &str = "only the leader knows";
const REPLICA_KNOWS: &str = "only a replica knows";

/// Prints the status, with `--watch` until `stop` is cancelled.
///
/// # Errors
/// If the replica is not there; while watching that is shown, and looked at again. With `--ready-within`
/// if no replica serves calls in that time.
pub async fn run(args: StatusArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let StatusArgs {
        watch,
        json,
        ready_within,
        origin,
    } = args;
    let origin = Origin::of(origin).await?;
    if let Some(limit) = ready_within {
        let Origin::Replica(replicas) = origin else {
            bail!(
                "which replicas? --ready-within wants --admin HOST:PORT or --control-socket PATH"
            );
        };
        let serving = stop.run_until_cancelled(serving::within(limit, &replicas));
        return show(&serving.await.context(INTERRUPTED)??, json);
    }
    if !watch {
        return show(&origin.status().await?, json);
    }
    while !stop.is_cancelled() {
        let status = tokio::select! {
            status = origin.status() => status,
            () = stop.cancelled() => break,
        };
        if !json {
            print(CLEAR)?;
        }
        match status {
            Ok(status) => show(&status, json)?,
            // Standard output is for reports only where a program reads it.
            Err(error) if json => eprintln!("rds-csi: {error:#}"),
            Err(error) => print(&format!("{error:#}\n"))?,
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

fn show(status: &StatusReport, json: bool) -> anyhow::Result<()> {
    if json {
        print_json(status)
    } else {
        print(&text(status))
    }
}

fn text(status: &StatusReport) -> String {
    let mut text = table(&[], &rows(status));
    let attachments = status.attachments.as_ref();
    let blocked = attachments.and_then(|it| it.blocked.as_deref());
    let blocked = blocked.unwrap_or_default().iter();
    let blocked: Vec<_> = blocked.map(|it| row(&it.volume, it.why.clone())).collect();
    let drift = status
        .drift
        .as_deref()
        .unwrap_or_default()
        .iter()
        .map(|it| {
            let (volume, what) = (it.volume.clone(), it.what.clone());
            vec![volume, age(it.age_ms), what]
        });
    let drift: Vec<_> = drift.collect();
    if !blocked.is_empty() {
        text.push('\n');
        text.push_str(&table(&["NOT SERVED", "WHY"], &blocked));
    }
    if !drift.is_empty() {
        text.push('\n');
        text.push_str(&table(&["DRIFT", "FOR", "WHAT"], &drift));
    }
    text
}

fn rows(status: &StatusReport) -> Vec<Vec<String>> {
    let mut rows = vec![row(
        "driver",
        format!("{} {}", status.driver, status.version),
    )];
    if let Some(pod) = &status.instance {
        rows.push(row("replica", pod.clone()));
    }
    rows.push(row("role", role(status)));
    if status.role != Role::Standalone {
        rows.push(row("leader", leader(status)));
    }
    let epoch = status.epoch.map(|epoch| epoch.to_string());
    rows.push(row("epoch", epoch.unwrap_or_else(|| "unknown".to_owned())));
    if let Some(lease) = lease(status) {
        rows.push(row("lease", lease));
    }
    rows.push(row("RDS", rds(&status.rds)));
    rows.push(row("fencing", fencing(status)));
    rows.push(row("volumes", volumes(status.attachments.as_ref())));
    if status.drift.is_none() {
        rows.push(row("drift", LEADER_KNOWS.to_owned()));
    }
    let own = || REPLICA_KNOWS.to_owned();
    let shards = status.shards.as_deref().map_or_else(own, shards);
    rows.push(row("shards", shards));
    rows.push(row("events", status.events.map_or_else(own, events)));
    if let Some(last) = &status.last_decision {
        let told = format!("{}: {}", last.volume, decided(last));
        rows.push(row("decided", told));
    }
    rows
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn role(status: &StatusReport) -> String {
    let why = status.not_ready_because.as_deref();
    match (status.role, why) {
        (Role::Outside, None) => {
            "outside: no replica was asked but the Kubernetes API and the RDS".to_owned()
        }
        (Role::Outside, Some(why)) => {
            format!("outside: no replica was asked, and not everything could be read: {why}")
        }
        _ if status.ready => format!("{}, serves calls", status.role),
        (_, Some(why)) => format!("{}, serves no calls: {why}", status.role),
        (_, None) => format!("{}, serves no calls", status.role),
    }
}

fn leader(status: &StatusReport) -> String {
    match (&status.holder, status.epoch) {
        (Some(holder), _) => holder.clone(),
        (None, Some(_)) => "nobody".to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}

fn lease(status: &StatusReport) -> Option<String> {
    let age = age(status.lease_age_ms?);
    Some(match (status.role, status.deadline_ms) {
        (Role::Outside, _) => format!("renewed {age} ago by its holder's clock"),
        (_, Some(left)) => {
            let left = self::age(left);
            format!("changed {age} ago, ends in {left} unless renewed")
        }
        (_, None) => format!("changed {age} ago"),
    })
}

fn rds(rds: &Rds) -> String {
    let Rds {
        address,
        reachable,
        incarnation,
        last_answer_ms,
    } = rds;
    let last = match last_answer_ms {
        Some(last) => format!("last {} ago", age(*last)),
        None => "never did".to_owned(),
    };
    let answers = match reachable {
        Some(true) => format!("answers ({last})"),
        Some(false) => format!("DOES NOT ANSWER ({last})"),
        None => "was not asked by this replica".to_owned(),
    };
    let restarts = match incarnation {
        Some(count) => format!(", {} noticed", plural(*count, "restart")),
        None => String::new(),
    };
    format!("{address} {answers}{restarts}")
}

fn fencing(status: &StatusReport) -> String {
    match &status.fencing {
        None if matches!(status.role, Role::Standby | Role::Outside | Role::Draining) => {
            LEADER_KNOWS.to_owned()
        }
        None => "not known yet".to_owned(),
        Some(Fencing { mode, verified }) => {
            let verified = if *verified {
                "verified"
            } else {
                "not verified"
            };
            format!("{mode}, {verified} on this device")
        }
    }
}

fn volumes(attachments: Option<&Attachments>) -> String {
    let Some(attachments) = attachments else {
        return LEADER_KNOWS.to_owned();
    };
    let Attachments {
        granted,
        free,
        blocked,
    } = attachments;
    let counted = format!("{granted} granted, {free} free");
    match blocked {
        Some(blocked) => format!("{counted}, {} not served", blocked.len()),
        None => counted,
    }
}

fn shards(shards: &[Shard]) -> String {
    let sum = |part: fn(&Shard) -> u64| shards.iter().map(part).sum::<u64>();
    let (waiting, running) = (sum(|it| it.waiting), sum(|it| it.running));
    let oldest = shards
        .iter()
        .map(|it| it.oldest_ms)
        .max()
        .unwrap_or_default();
    let oldest = match oldest {
        0 => String::new(),
        oldest => format!(", the oldest for {}", age(oldest)),
    };
    format!(
        "{}: {waiting} waiting, {running} running{oldest}",
        shards.len()
    )
}

fn events(events: Events) -> String {
    let Events {
        posted,
        dropped,
        failed,
    } = events;
    format!("{posted} posted, {dropped} dropped, {failed} failed")
}

fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests;
