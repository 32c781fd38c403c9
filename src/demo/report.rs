//! What the demo came to: one JSON object for programs.

use std::time::Duration;

use serde::Serialize;

use crate::demo::judge::Seen;
use crate::demo::story::Act;

/// Everything, as it is printed by `--json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Everything was as it must be, to the end of the story.
    pub(super) ok: bool,
    /// Milliseconds for all steps together.
    pub(super) ms: u64,
    pub(super) steps: Vec<StepReport>,
    pub(super) second_writers: usize,
    pub(super) replayed_writes: usize,
    pub(super) violations: Vec<String>,
    /// Moves after the story.
    #[serde(skip)]
    pub(super) moves: u64,
}

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct StepReport {
    pub(super) name: String,
    pub(super) ms: u64,
    /// The gRPC code, if it was a call to the controller.
    pub(super) code: Option<&'static str>,
    /// The same, or what a machine met.
    pub(super) result: &'static str,
    pub(super) detail: String,
    /// Lines of commands that the RDS ran meanwhile.
    pub(super) round_trips: usize,
    /// Milliseconds from the cut of the node before to this grant, by the clock of the RDS.
    pub(super) settled_ms: Option<u64>,
    pub(super) can_write: Vec<String>,
    pub(super) on_disk: Option<String>,
}

// === impl Report ===

impl Report {
    /// Takes a step in, with what was wrong about it.
    pub(super) fn add(&mut self, act: Act, seen: &Seen, violations: &[String]) {
        let name = act.to_string().trim_start().to_owned();
        let found = violations
            .iter()
            .map(|violation| format!("{name}: {violation}"));
        self.violations.extend(found);
        self.ms = millis(seen.at + seen.took);
        self.second_writers = seen.second_writers;
        self.replayed_writes = seen.replayed_writes;
        self.steps.push(StepReport {
            name,
            ms: millis(seen.took),
            code: act.is_call().then_some(seen.outcome.result),
            result: seen.outcome.result,
            detail: seen.outcome.detail.clone(),
            round_trips: seen.lines.len(),
            settled_ms: seen.settled.map(millis),
            can_write: seen.writers.clone(),
            on_disk: seen.on_disk.clone(),
        });
    }

    /// Lines of commands that the RDS ran for the whole story.
    pub(super) fn round_trips(&self) -> usize {
        self.steps.iter().map(|step| step.round_trips).sum()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::judge::Outcome;

    #[test]
    fn the_report_has_the_fields_that_programs_read() {
        let seen = Seen {
            took: Duration::from_micros(1_500),
            outcome: Outcome {
                result: "OK",
                detail: "ready".to_owned(),
            },
            second_writers: 1,
            ..Seen::default()
        };
        let mut report = Report::default();
        report.add(Act::Probe, &seen, &["two writers".to_owned()]);
        report.add(Act::Write("node-a"), &seen, &[]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["second_writers"], 1);
        assert_eq!(json["replayed_writes"], 0);
        assert_eq!(json["violations"][0], "Probe: two writers");
        assert_eq!(json["steps"][0]["code"], "OK");
        assert_eq!(json["steps"][0]["ms"], 1);
        assert_eq!(json["steps"][0]["round_trips"], 0);
        assert_eq!(json["steps"][1]["name"], "node-a writes");
        assert!(json["steps"][1]["code"].is_null());
    }
}
