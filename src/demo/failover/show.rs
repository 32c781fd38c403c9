//! The demo as people read it: a line a second, and one for each thing that happens.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::report::Report;
use super::tally::{Failover, Sums};
use crate::demo::timeline::{Colour, Paint};

/// No line of the state is longer, so that it fits a terminal.
#[cfg(test)]
const WIDTH: usize = 110;

/// How things are.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) leader: Option<String>,
    pub(super) epoch: Option<u64>,
    /// Volumes that somebody may connect to.
    pub(super) grants: usize,
    /// Machines with a session.
    pub(super) writers: Vec<String>,
    pub(super) sums: Sums,
    pub(super) second_writers: usize,
    pub(super) replayed_writes: usize,
}

/// Prints, or not.
#[derive(Debug)]
pub(super) struct Show {
    prints: bool,
    paint: Paint,
}

// === impl Show ===

impl Show {
    pub(super) fn stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            prints: true,
            paint: Paint(io::stdout().is_terminal() && !unwanted),
        }
    }

    pub(super) const fn silent() -> Self {
        Self {
            prints: false,
            paint: Paint(false),
        }
    }

    pub(super) fn opening(&self) -> io::Result<()> {
        self.print(&[
            "Three controllers as processes, a simulated RDS behind real SSH, the Kubernetes API as a".into(),
            "stand-in, and volumes that keep moving between machines that write. Every few seconds the".into(),
            "leader is killed, frozen or told to end. What counts is what the RDS sees.".into(),
            String::new(),
        ])
    }

    pub(super) fn status(&self, at: Duration, status: &Status) -> io::Result<()> {
        let line = line_of(at, status);
        self.print(&[self.paint.on(Colour::Dim, &line)])
    }

    pub(super) fn event(&self, at: Duration, what: &str) -> io::Result<()> {
        self.print(&[self.paint.on(Colour::Bold, &stamped(at, what))])
    }

    pub(super) fn failover(&self, at: Duration, failover: &Failover) -> io::Result<()> {
        let Failover {
            to,
            epoch,
            ms_to_ready,
            ms_to_first_publish,
            ..
        } = failover;
        let epoch = epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        let what = format!(
            "{to} serves after {ms_to_ready} ms, epoch {epoch}; first publish after {ms_to_first_publish} ms"
        );
        self.print(&[self.paint.on(Colour::Green, &stamped(at, &what))])
    }

    pub(super) fn summary(&self, report: &Report) -> io::Result<()> {
        let mut lines = vec![String::new()];
        for failover in &report.failovers {
            lines.push(format!(
                "{}: {} -> {}: ready after {} ms, first publish after {} ms",
                failover.kind,
                failover.from,
                failover.to,
                failover.ms_to_ready,
                failover.ms_to_first_publish
            ));
        }
        lines.push(format!(
            "{} attaches, the slowest {} ms; {} writes, {} more left in queues of torn-off machines",
            report.attaches, report.slowest_attach_ms, report.writes, report.queued_writes
        ));
        lines.push(format!(
            "second writers seen by the RDS: {}, replayed writes: {}",
            report.second_writers, report.replayed_writes
        ));
        for violation in &report.violations {
            let line = format!("VIOLATION {violation}");
            lines.push(self.paint.on(Colour::Red, &line));
        }
        lines.push(if !report.violations.is_empty() {
            self.paint.on(Colour::Red, "FAILURE: see VIOLATION above")
        } else if report.ok {
            let text =
                "SUCCESS: whoever led, no two nodes could use a volume, and no old write came back";
            self.paint.on(Colour::Green, text)
        } else {
            "Stopped.".to_owned()
        });
        self.print(&lines)
    }

    fn print(&self, lines: &[String]) -> io::Result<()> {
        if !self.prints {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

fn line_of(at: Duration, status: &Status) -> String {
    let short = |name: &str| name.rsplit('-').next().unwrap_or(name).to_owned();
    let writers: Vec<String> = status.writers.iter().map(|name| short(name)).collect();
    let epoch = status.epoch.map(|epoch| epoch.to_string());
    let what = format!(
        "leader {}, epoch {}; {} grants; writing {}; {} attaches; second writers {}, replayed {}",
        status.leader.as_deref().unwrap_or("nobody"),
        epoch.as_deref().unwrap_or("-"),
        status.grants,
        if writers.is_empty() {
            "nobody".to_owned()
        } else {
            writers.join(" ")
        },
        status.sums.attaches,
        status.second_writers,
        status.replayed_writes
    );
    stamped(at, &what)
}

fn stamped(at: Duration, what: &str) -> String {
    format!("{:>6.1} s  {what}", at.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_everything_is_one_line_that_fits_a_terminal() {
        let status = Status {
            leader: Some("controller-1".to_owned()),
            epoch: Some(12),
            grants: 4,
            writers: ["node-a", "node-b", "node-c", "node-x"]
                .map(ToOwned::to_owned)
                .into(),
            sums: Sums {
                attaches: 999,
                ..Sums::default()
            },
            ..Status::default()
        };
        let line = line_of(Duration::from_millis(61_300), &status);
        assert_eq!(
            line,
            "  61.3 s  leader controller-1, epoch 12; 4 grants; writing a b c x; 999 attaches; \
             second writers 0, replayed 0"
        );
        assert!(line.len() <= WIDTH, "{}", line.len());
    }
}
