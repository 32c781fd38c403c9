//! The story as people read it: one line a step, and beneath it what the RDS was told.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use crate::demo::judge::{Outcome, Seen, who};
use crate::demo::report::Report;
use crate::demo::story::Step;

/// No line is longer.
const WIDTH: usize = 110;
/// Where the lines beneath a step begin: under its name.
const INDENT: usize = 11;

/// Writes the story somewhere, or nowhere.
#[derive(Debug)]
pub(super) struct Timeline<W> {
    out: Option<W>,
    paint: Paint,
}

/// Colours, where they are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

/// The few colours there are, as terminals know them (ECMA-48, select graphic rendition).
#[derive(Debug, Clone, Copy)]
pub(super) enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

// === impl Timeline ===

impl Timeline<io::Stdout> {
    /// On stdout, coloured if that is a terminal and NO_COLOR (no-color.org) is not set.
    pub(super) fn stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(io::stdout(), io::stdout().is_terminal() && !unwanted)
    }
}

impl<W: Write> Timeline<W> {
    pub(super) const fn new(out: W, colour: bool) -> Self {
        Self {
            out: Some(out),
            paint: Paint(colour),
        }
    }

    /// Writes nothing.
    pub(super) const fn silent() -> Self {
        Self {
            out: None,
            paint: Paint(false),
        }
    }

    pub(super) fn opening(&mut self) -> io::Result<()> {
        let head = columns([
            "time",
            "what",
            "result",
            "took",
            "can write",
            "bytes on disk",
        ]);
        let lines = [
            "A simulated RDS behind real SSH, the controller behind its real socket, three machines.".to_owned(),
            "Beneath each call, what the RDS was told: its lines of commands, in short.".to_owned(),
            String::new(),
            self.paint.on(Colour::Dim, &head),
        ];
        self.write(&lines)
    }

    pub(super) fn chapter(&mut self, title: &str) -> io::Result<()> {
        let title = self.paint.on(Colour::Bold, title);
        self.write(&[String::new(), title])
    }

    pub(super) fn step(&mut self, step: &Step, seen: &Seen, wrong: &[String]) -> io::Result<()> {
        let Outcome { result, detail } = &seen.outcome;
        let row = columns([
            &seconds(seen.at),
            &step.act.to_string(),
            result,
            &millis(seen.took),
            &who(&seen.writers),
            seen.on_disk.as_deref().unwrap_or("-"),
        ]);
        let colour = match (wrong.is_empty(), step.act.is_call(), *result) {
            (false, ..) => Some(Colour::Red),
            (true, true, "OK") => Some(Colour::Green),
            (true, true, _) | (true, false, "refused") => Some(Colour::Yellow),
            (true, false, _) => None,
        };
        let mut lines = vec![match colour {
            Some(colour) => self.paint.word(colour, &row, result),
            None => row,
        }];
        lines.extend(beneath("", detail));
        lines.extend(beneath("", step.note));
        if let Some(settled) = seen.settled.filter(|_| step.settled) {
            let waited = millis(settled);
            let text = format!("granted {waited} after the cut: the node before is out by then");
            lines.extend(beneath("", &text));
        }
        for line in &seen.lines {
            let text = format!("+{}: {}", millis(line.after), line.words);
            let told = beneath("RDS ", &text);
            lines.extend(told.iter().map(|line| self.paint.on(Colour::Dim, line)));
        }
        for violation in wrong {
            let told = beneath("VIOLATION ", violation);
            lines.extend(told.iter().map(|line| self.paint.on(Colour::Red, line)));
        }
        self.write(&lines)
    }

    /// One line, for a volume that keeps moving.
    pub(super) fn moved(&mut self, line: &str) -> io::Result<()> {
        self.write(&[line.to_owned()])
    }

    pub(super) fn summary(&mut self, report: &Report) -> io::Result<()> {
        let Report {
            ok,
            ms,
            steps,
            second_writers,
            replayed_writes,
            violations,
            moves: _,
        } = report;
        let verdict = if *ok {
            let text =
                "SUCCESS: at no time could two nodes use the volume, and no old write came back";
            self.paint.on(Colour::Green, text)
        } else if violations.is_empty() {
            "Stopped before the end of the story.".to_owned()
        } else {
            self.paint.on(Colour::Red, "FAILURE: see VIOLATION above")
        };
        let took = seconds(Duration::from_millis(*ms));
        let lines = [
            String::new(),
            format!(
                "{} steps in {}, {} lines of commands to the RDS",
                steps.len(),
                took.trim_start(),
                report.round_trips()
            ),
            format!(
                "second writers seen by the RDS: {second_writers}, replayed writes: {replayed_writes}"
            ),
            verdict,
        ];
        self.write(&lines)
    }

    /// The end of a volume that kept moving.
    pub(super) fn farewell(&mut self, report: &Report) -> io::Result<()> {
        let Report {
            second_writers,
            replayed_writes,
            moves,
            ..
        } = report;
        self.write(&[
            String::new(),
            format!(
                "moves: {moves}, second writers seen by the RDS: {second_writers}, replayed writes: {replayed_writes}"
            ),
        ])
    }

    fn write(&mut self, lines: &[String]) -> io::Result<()> {
        let Some(out) = &mut self.out else {
            return Ok(());
        };
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

// === impl Paint ===

impl Paint {
    pub(super) fn on(self, colour: Colour, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", colour as u8)
        } else {
            text.to_owned()
        }
    }

    /// Paints the first place where a word stands.
    fn word(self, colour: Colour, row: &str, word: &str) -> String {
        row.replacen(word, &self.on(colour, word), 1)
    }
}

fn columns([time, what, result, took, writers, on_disk]: [&str; 6]) -> String {
    format!("{time:>9}  {what:<34} {result:<20} {took:>8}  {writers:<14} {on_disk}")
        .trim_end()
        .to_owned()
}

/// A text under the name of its step, broken between words where it is too long.
fn beneath(label: &str, text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = format!("{:INDENT$}  {label}", "");
    let start = line.len();
    for word in text.split_whitespace() {
        if line.len() > start && line.len() + 1 + word.len() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(start)));
        }
        if line.len() > start {
            line.push(' ');
        }
        // A word longer than a line is cut: width counts more than the end of a name.
        line.extend(word.chars().take(WIDTH.saturating_sub(start)));
    }
    if line.len() > start {
        lines.push(line);
    }
    lines
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

pub(super) fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::judge::RdsLine;
    use crate::demo::story::chapters;

    fn seen(result: &'static str, detail: &str) -> Seen {
        Seen {
            at: Duration::from_millis(1_234),
            took: Duration::from_millis(1_004),
            outcome: Outcome {
                result,
                detail: detail.to_owned(),
            },
            lines: vec![RdsLine {
                after: Duration::from_millis(1_001),
                words: "prepare > cut > open > read back".to_owned(),
            }],
            settled: Some(Duration::from_millis(1_003)),
            writers: vec!["node-a".to_owned()],
            on_disk: Some("node-a #1".to_owned()),
            ..Seen::default()
        }
    }

    fn told(colour: bool, tell: impl FnOnce(&mut Timeline<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        tell(&mut Timeline::new(&mut out, colour));
        String::from_utf8(out).unwrap()
    }

    fn publish() -> Step {
        let all = chapters(false).into_iter().flat_map(|part| part.steps);
        let mut moves = all.filter(|step| step.settled);
        moves.next().expect("a step that waits")
    }

    #[test]
    fn a_step_shows_call_result_time_names_commands_and_who_can_write() {
        let text = told(false, |timeline| {
            let seen = seen("OK", "fresh names: ...:node-b:1-2-3");
            timeline.step(&publish(), &seen, &[]).unwrap();
        });
        assert_eq!(
            text,
            "  1.234 s  ControllerPublishVolume node-b     OK                    1004 ms  node-a         node-a #1\n\
             \x20            fresh names: ...:node-b:1-2-3\n\
             \x20            granted 1003 ms after the cut: the node before is out by then\n\
             \x20            RDS +1001 ms: prepare > cut > open > read back\n"
        );
    }

    #[test]
    fn no_line_is_too_long_whatever_there_is_to_tell() {
        let name = "nqn.2000-02.com.mikrotik:".repeat(9);
        let many = "volume is attached to another node ".repeat(9);
        let two = vec!["node-a".to_owned(), "node-b".to_owned()];
        for step in chapters(true).into_iter().flat_map(|part| part.steps) {
            let text = told(false, |timeline| {
                let seen = Seen {
                    writers: two.clone(),
                    ..seen("FAILED_PRECONDITION", &format!("{many} {name}"))
                };
                timeline
                    .step(&step, &seen, &[name.clone(), many.clone()])
                    .unwrap();
            });
            for line in text.lines() {
                assert!(line.len() <= WIDTH, "{}: {line}", line.len());
            }
            assert!(text.contains("VIOLATION"), "{text}");
        }
    }

    #[test]
    fn colours_are_only_where_they_are_wanted_and_change_no_letter() {
        let tell = |colour| {
            told(colour, |timeline| {
                timeline.opening().unwrap();
                timeline.chapter("One").unwrap();
                let wrong = ["wrong".to_owned()];
                timeline.step(&publish(), &seen("OK", "x"), &wrong).unwrap();
                timeline
                    .step(&publish(), &seen("ABORTED", "x"), &[])
                    .unwrap();
                timeline.summary(&Report::default()).unwrap();
            })
        };
        let (plain, painted) = (tell(false), tell(true));
        assert!(!plain.contains('\x1b'), "{plain}");
        assert!(painted.contains("\x1b[31mOK\x1b[0m"), "{painted}");
        assert!(painted.contains("\x1b[33mABORTED\x1b[0m"), "{painted}");
        let mut stripped = painted;
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn the_summary_says_how_it_ended() {
        let bad = Report {
            replayed_writes: 1,
            violations: vec!["x".to_owned()],
            ..Report::default()
        };
        let good = Report {
            ok: true,
            ..Report::default()
        };
        for (report, counts, verdict) in [
            (good, "RDS: 0, replayed writes: 0", "SUCCESS"),
            (bad, "RDS: 0, replayed writes: 1", "FAILURE"),
            (Report::default(), "RDS: 0, replayed writes: 0", "Stopped"),
        ] {
            let text = told(false, |timeline| timeline.summary(&report).unwrap());
            assert!(text.contains(counts) && text.contains(verdict), "{text}");
        }
    }
}
