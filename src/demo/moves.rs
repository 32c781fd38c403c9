//! A volume that never rests: from node to node, every second, until somebody stops it.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{MissedTickBehavior, interval};

use crate::csi::status::OK;
use crate::demo::cast::NODES;
use crate::demo::judge;
use crate::demo::play::Play;
use crate::demo::report::Report;
use crate::demo::story::{Act, Step, result};
use crate::demo::timeline::{Timeline, millis};

/// How long a node writes before the volume moves on. The move itself takes as long again, since a
/// node is let in no sooner than a second after the one before was cut.
const BETWEEN_MOVES: Duration = Duration::from_secs(1);
/// The name of the PersistentVolume that moves.
const VOLUME: &str = "pvc-mover";

/// One move, as it is told.
#[derive(Debug, Default)]
struct Move {
    /// When the last step of it began.
    at: Duration,
    detached: Duration,
    attached: Duration,
    settled: Option<Duration>,
    round_trips: usize,
    on_disk: String,
}

/// Moves a volume until the future is dropped, or until something is not as it must be.
pub(super) async fn run<W: Write>(
    play: Play,
    timeline: &mut Timeline<W>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut play = play.next(VOLUME);
    let title = "The volume keeps moving; Ctrl-C ends it";
    timeline.chapter(title).context("print")?;
    let mut made = Move::default();
    let create = Step::of_move(Act::Create, OK, None);
    if !take(create, &mut play, timeline, report, &mut made).await? {
        return Ok(());
    }
    let mut pause = interval(BETWEEN_MOVES);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut holder = None;
    for node in NODES.into_iter().cycle() {
        pause.tick().await;
        let mut made = Move::default();
        for step in steps(holder, node) {
            if !take(step, &mut play, timeline, report, &mut made).await? {
                return Ok(());
            }
        }
        // The move took some of the time until the next tick, and the node is to have all of it.
        pause.reset();
        report.moves += 1;
        let line = made.line(holder.unwrap_or("nobody"), node);
        timeline.moved(&line).context("print")?;
        holder = Some(node);
    }
    Ok(())
}

/// Makes one step of a move and adds it up. Returns whether all was as it must be; only a step that
/// was not is shown.
async fn take<W: Write>(
    step: Step,
    play: &mut Play,
    timeline: &mut Timeline<W>,
    report: &mut Report,
    made: &mut Move,
) -> anyhow::Result<bool> {
    let seen = play.step(step.act).await;
    let violations = judge::violations(&step, &seen);
    if !violations.is_empty() {
        timeline.step(&step, &seen, &violations).context("print")?;
        report.ok = false;
        report.add(step.act, &seen, &violations);
        return Ok(false);
    }
    match step.act {
        Act::Unpublish(_) => made.detached = seen.took,
        Act::Publish(_) => {
            (made.attached, made.settled) = (seen.took, seen.settled);
        }
        _ => {}
    }
    made.at = seen.at;
    made.round_trips += seen.lines.len();
    made.on_disk = seen.on_disk.unwrap_or_default();
    Ok(true)
}

/// An orderly move, as Kubernetes makes one when a pod is rescheduled.
fn steps(from: Option<&'static str>, to: &'static str) -> Vec<Step> {
    let mut steps = Vec::new();
    let publish = Step::of_move(Act::Publish(to), OK, None).says("fresh names");
    if let Some(from) = from {
        steps.push(Step::of_move(
            Act::Unstage(from),
            result::DISCONNECTED,
            None,
        ));
        steps.push(Step::of_move(Act::Unpublish(from), OK, None));
        steps.push(publish.settled());
    } else {
        steps.push(publish);
    }
    steps.push(Step::of_move(Act::Stage(to), result::CONNECTED, Some(to)));
    steps.push(Step::of_move(Act::Write(to), result::WRITTEN, Some(to)));
    steps
}

// === impl Move ===

impl Move {
    fn line(&self, from: &str, to: &str) -> String {
        let settled = self.settled.map_or(String::new(), |settled| {
            format!(", {} after the cut", millis(settled))
        });
        format!(
            "{:>7.3} s  {from} -> {to}: detach {}, attach {}{settled}; {} RDS lines; on disk {}",
            self.at.as_secs_f64(),
            millis(self.detached),
            millis(self.attached),
            self.round_trips,
            self.on_disk
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_cuts_before_it_grants_and_every_node_but_the_first_waits() {
        let first: Vec<Act> = steps(None, "node-a").iter().map(|step| step.act).collect();
        assert_eq!(
            first,
            [
                Act::Publish("node-a"),
                Act::Stage("node-a"),
                Act::Write("node-a")
            ]
        );
        let next = steps(Some("node-a"), "node-b");
        let order: Vec<(Act, bool)> = next.iter().map(|step| (step.act, step.settled)).collect();
        assert_eq!(
            order,
            [
                (Act::Unstage("node-a"), false),
                (Act::Unpublish("node-a"), false),
                (Act::Publish("node-b"), true),
                (Act::Stage("node-b"), false),
                (Act::Write("node-b"), false),
            ]
        );
    }

    #[test]
    fn a_move_is_told_in_one_line() {
        let made = Move {
            at: Duration::from_millis(12_345),
            detached: Duration::from_millis(3),
            attached: Duration::from_millis(1_002),
            settled: Some(Duration::from_millis(1_001)),
            round_trips: 2,
            on_disk: "node-b #7".to_owned(),
        };
        assert_eq!(
            made.line("node-a", "node-b"),
            " 12.345 s  node-a -> node-b: detach 3 ms, attach 1002 ms, 1001 ms after the cut; \
             2 RDS lines; on disk node-b #7"
        );
    }
}
