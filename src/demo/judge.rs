//! What was seen, and whether it is what must be seen. Decides only; no clock, no IO.

use std::time::Duration;

use crate::demo::cast::REVOKE_SETTLE;
use crate::demo::story::Step;

/// How a step ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The gRPC code, or a word for what a machine met.
    pub(super) result: &'static str,
    /// What else there is to say.
    pub(super) detail: String,
}

/// A line of commands that the RDS ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RdsLine {
    /// Since the step began.
    pub(super) after: Duration,
    /// What it did, in short.
    pub(super) words: String,
}

/// One step, and the RDS right after it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// When it began, since the start of the demo.
    pub(super) at: Duration,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
    /// What the RDS was told meanwhile.
    pub(super) lines: Vec<RdsLine>,
    /// From the cut of the last holder to the grant of this one, by the clock of the RDS.
    pub(super) settled: Option<Duration>,
    /// Machines with a session.
    pub(super) writers: Vec<String>,
    /// The last write that a machine was told has arrived.
    pub(super) acknowledged: Option<String>,
    /// What the backing file holds.
    pub(super) on_disk: Option<String>,
    /// Two machines with a session on one volume, ever.
    pub(super) second_writers: usize,
    /// Writes of an earlier attachment that landed after another machine's, ever.
    pub(super) replayed_writes: usize,
}

/// Everything that is not as it must be.
pub(super) fn violations(step: &Step, seen: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    let Outcome { result, detail } = &seen.outcome;
    if *result != step.result {
        found.push(format!("expected {}, got {result}: {detail}", step.result));
    }
    if !detail.contains(step.says) {
        found.push(format!("expected to be told {:?}: {detail}", step.says));
    }
    if seen.writers != Vec::from_iter(step.writer) {
        let expected = step.writer.unwrap_or("nobody");
        let writers = who(&seen.writers);
        found.push(format!(
            "expected {expected} to be able to write, not {writers}"
        ));
    }
    if step.settled && seen.settled.is_none_or(|settled| settled < REVOKE_SETTLE) {
        found.push(format!(
            "granted {:?} after the cut of the node before, expected at least {REVOKE_SETTLE:?}",
            seen.settled
        ));
    }
    if seen.on_disk != seen.acknowledged {
        found.push(format!(
            "on disk is {}, but the last write acknowledged is {}",
            seen.on_disk.as_deref().unwrap_or("nothing"),
            seen.acknowledged.as_deref().unwrap_or("nothing")
        ));
    }
    if seen.second_writers > 0 {
        found.push(format!("second writers: {}", seen.second_writers));
    }
    if seen.replayed_writes > 0 {
        found.push(format!("replayed writes: {}", seen.replayed_writes));
    }
    found
}

/// Nodes as one word.
pub(super) fn who(nodes: &[String]) -> String {
    if nodes.is_empty() {
        "nobody".to_owned()
    } else {
        nodes.join("+")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::story::Act;

    const STEP: Step = Step::of_move(Act::Publish("node-a"), "OK", Some("node-a"))
        .says("fresh")
        .settled();

    fn good() -> Seen {
        Seen {
            outcome: Outcome {
                result: "OK",
                detail: "fresh names".to_owned(),
            },
            settled: Some(REVOKE_SETTLE),
            writers: vec!["node-a".to_owned()],
            acknowledged: Some("node-a #1".to_owned()),
            on_disk: Some("node-a #1".to_owned()),
            ..Seen::default()
        }
    }

    #[test]
    fn what_is_as_it_must_be_is_no_violation() {
        assert_eq!(violations(&STEP, &good()), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_not_as_it_must_be_is_one_violation() {
        type Spoil = fn(&mut Seen);
        let rows: [(&str, Spoil); 10] = [
            ("expected OK, got", |seen| seen.outcome.result = "ABORTED"),
            ("expected to be told", |seen| seen.outcome.detail.clear()),
            ("not nobody", |seen| seen.writers.clear()),
            ("not node-b", |seen| {
                seen.writers = vec!["node-b".to_owned()];
            }),
            ("not node-a+node-b", |seen| {
                seen.writers.push("node-b".to_owned());
            }),
            ("at least 1s", |seen| {
                seen.settled = Some(REVOKE_SETTLE.saturating_sub(Duration::from_nanos(1)));
            }),
            ("granted None", |seen| seen.settled = None),
            ("on disk is nothing", |seen| seen.on_disk = None),
            ("second writers: 1", |seen| seen.second_writers = 1),
            ("replayed writes: 2", |seen| seen.replayed_writes = 2),
        ];
        for (expected, spoil) in rows {
            let mut seen = good();
            spoil(&mut seen);
            let found = violations(&STEP, &seen);
            assert_eq!(found.len(), 1, "{expected}: {found:?}");
            assert!(found[0].contains(expected), "{expected}: {found:?}");
        }
    }
}
