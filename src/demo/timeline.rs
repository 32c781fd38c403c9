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
struct Paint(bool);

/// The few colours there are, as terminals know them (ECMA-48, select graphic rendition).
#[derive(Debug, Clone, Copy)]
enum Colour {
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
        let head = self.columns(["time", "what", "result", "took", "can write", "on disk"]);
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
        let row = self.columns([
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
            lines.extend(beneath("", &format!("opened {waited} after the node before was cut")));
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
            moves,
        } = report;
        let verdict = if *ok {
            let text = "SUCCESS: at no time could two nodes use the volume, and no old write came back";
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
        self.write(&lines)?;
        if *moves > 0 {
            self.write(&[format!("{moves} moves since")])?;
        }
        Ok(())
    }

    fn columns(&self, [time, what, result, took, writers, on_disk]: [&str; 6]) -> String {
        format!("{time:>9}  {what:<34} {result:<20} {took:>8}  {writers:<14} {on_disk}")
            .trim_end()
            .to_owned()
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
    fn on(self, colour: Colour, text: &str) -> String {
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
