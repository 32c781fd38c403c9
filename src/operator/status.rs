//! `rds-csi status`: one replica, and through it the RDS.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::table::table;
use super::words::age;
use super::{Origin, print, print_json};
use crate::admin::report::{Attachments, Events, Fencing, Rds, Shard, StatusReport};
use crate::cli::operator::StatusArgs;

/// How often `--watch` looks: fast enough to see a fail-over of seconds, and no load.
const LOOK: Duration = Duration::from_secs(1);
/// Moves the cursor to the upper left corner and clears the screen, on every terminal in use.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints the status, with `--watch` until `stop` is cancelled.
///
/// # Errors
/// If the replica is not there; while watching that is shown, and looked at again.
pub async fn run(args: StatusArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let StatusArgs {
        watch,
        json,
        origin,
    } = args;
    let origin = Origin::of(origin)?;
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
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let unknown = || "unknown".to_owned();
    let mut rows = vec![
        row("driver", format!("{} {}", status.driver, status.version)),
        row("replica", status.instance.clone()),
        row("role", role(status)),
        row("leader", status.holder.clone().unwrap_or_else(unknown)),
        row("epoch", status.epoch.to_string()),
    ];
    if let Some(lease) = lease(status) {
        rows.push(row("lease", lease));
    }
    rows.push(row("RDS", rds(&status.rds)));
    rows.push(row("fencing", fencing(status.fencing.as_ref())));
    rows.push(row("volumes", volumes(&status.attachments)));
    rows.push(row("shards", shards(&status.shards)));
    rows.push(row("events", events(status.events)));
    let mut text = table(&[], &rows);
    let blocked = status.attachments.blocked.iter();
    let blocked: Vec<_> = blocked.map(|it| row(&it.volume, it.why.clone())).collect();
    let drift = status.drift.iter().map(|it| {
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

fn role(status: &StatusReport) -> String {
    match &status.not_ready_because {
        _ if status.ready => format!("{}, serves calls", status.role),
        Some(why) => format!("{}, serves no calls: {why}", status.role),
        None => format!("{}, serves no calls", status.role),
    }
}

fn lease(status: &StatusReport) -> Option<String> {
    let changed = status.lease_age_ms?;
    let changed = format!("changed {} ago", age(changed));
    Some(match status.deadline_ms {
        Some(left) => format!("{changed}, ends in {} unless renewed", age(left)),
        None => changed,
    })
}

fn rds(rds: &Rds) -> String {
    let Rds {
        address,
        reachable,
        incarnation,
        last_answer_ms,
    } = rds;
    let answers = if *reachable {
        "answers"
    } else {
        "DOES NOT ANSWER"
    };
    let last = match last_answer_ms {
        Some(last) => format!("last {} ago", age(*last)),
        None => "never did".to_owned(),
    };
    let restarts = plural(*incarnation, "restart");
    format!("{address} {answers} ({last}), {restarts} noticed")
}

fn fencing(fencing: Option<&Fencing>) -> String {
    match fencing {
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

fn volumes(attachments: &Attachments) -> String {
    let Attachments {
        granted,
        free,
        blocked,
    } = attachments;
    format!(
        "{granted} granted, {free} free, {} not served",
        blocked.len()
    )
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
