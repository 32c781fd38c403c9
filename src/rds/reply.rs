//! Decides what became of a line from the raw bytes of its reply.
//!
//! Success is proved by the last sentinel and by nothing else: RouterOS reports failures on stdout
//! with exit status 0, and a connection may end anywhere. A reply that proves neither success nor
//! refusal is incomplete, and the outcome of its line unknown.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::rds::answer::Answer;
use crate::rds::command::Section;
use crate::rds::line::Line;
use crate::rds::refusal::{Refusal, is_message};
use crate::rds::value::Nonce;

/// Longest reply read. A disk takes about 1.4 kB in either form, so 4096 volumes of one listing are
/// under 6 MB; 16 MiB leaves the same again for longer names and other properties.
pub const MAX_REPLY: usize = 16 << 20;

/// Lines of a message that are kept: RouterOS messages have one or two.
const MAX_MESSAGE_LINES: usize = 4;

/// Characters of a message that are kept.
const MAX_MESSAGE: usize = 512;

/// What came back on the channel of one line.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// Everything on stdout until the channel ended.
    pub stdout: &'a [u8],
    /// Everything on stderr. RouterOS is not known to use it.
    pub stderr: &'a [u8],
    /// Exit status, if one came. RouterOS sends 0 for failures too.
    pub exit_status: Option<u32>,
}

/// What became of a line.
#[derive(Debug)]
pub enum Outcome {
    /// Every section ran to its end.
    Complete(Answer),
    /// The device reported an error and skipped the rest of the line. Earlier steps may have run.
    Refused(Refused),
    /// It cannot be known: read before deciding anything.
    Incomplete(Gap),
}

/// An error reported by the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it means.
    pub reason: Refusal,
    /// The first lines of the device's own text.
    pub text: String,
    /// How many sections had ended before. Steps of the section that failed may have run too.
    pub sections_done: usize,
}

/// Why a reply proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The last sentinel is missing and no error was reported.
    NoSentinel {
        /// How many sections had ended.
        sections_done: usize,
    },
    /// Longer than [`MAX_REPLY`]; not looked at.
    TooLong,
}

impl Refused {
    /// Whether it is certain that no step of the line was run.
    pub fn nothing_ran(&self) -> bool {
        self.reason == Refusal::BadCommand && self.sections_done == 0
    }
}

/// Reads the reply to a line that was rendered with this nonce.
///
/// Where a section prints data, text in the data is never taken for an error or a sentinel: errors
/// count only in place of data, and a sentinel has a nonce younger than anything on the device.
pub fn read(line: &Line, nonce: &Nonce, raw: &Raw<'_>) -> Outcome {
    if raw.stdout.len() > MAX_REPLY {
        return Outcome::Incomplete(Gap::TooLong);
    }
    let decoded = String::from_utf8_lossy(raw.stdout);
    let stdout = if decoded.contains('\r') {
        Cow::Owned(decoded.replace("\r\n", "\n"))
    } else {
        decoded
    };
    let Split { sections, tail } = split(&stdout, nonce, line.sections().len());
    judge(line, &sections, tail, raw)
}

/// The text of the sections that ended, and what follows them.
struct Split<'a> {
    sections: Vec<&'a str>,
    tail: &'a str,
}

fn split<'a>(text: &'a str, nonce: &Nonce, count: usize) -> Split<'a> {
    let mut sections = Vec::with_capacity(count);
    let (mut from, mut at) = (0, 0);
    let mut sentinel = nonce.sentinel(0);
    for line in text.split_inclusive('\n') {
        if sections.len() < count && line.trim() == sentinel {
            sections.push(text.get(from..at).unwrap_or(""));
            from = at + line.len();
            sentinel = nonce.sentinel(sections.len());
        }
        at += line.len();
    }
    Split {
        sections,
        tail: text.get(from..).unwrap_or(""),
    }
}

fn judge(line: &Line, sections: &[&str], tail: &str, raw: &Raw<'_>) -> Outcome {
    let done = sections.len();
    for (index, (section, text)) in line.sections().iter().zip(sections).enumerate() {
        if matches!(section, Section::Silent(_)) && !text.trim().is_empty() {
            return refused(text, index);
        }
    }
    let silent = match line.sections().get(done) {
        Some(open) => matches!(open, Section::Silent(_)),
        // Nothing can follow the last sentinel but a blank line.
        None => true,
    };
    if reports_error(tail, silent) {
        return refused(tail, done);
    }
    let stderr = String::from_utf8_lossy(raw.stderr);
    if !stderr.trim().is_empty() {
        return refused(&stderr, done);
    }
    if done < line.sections().len() {
        return Outcome::Incomplete(Gap::NoSentinel {
            sections_done: done,
        });
    }
    match raw.exit_status {
        None | Some(0) => Outcome::Complete(Answer::new(line.sections(), sections)),
        Some(status) => refused(&format!("exit status {status} without a message"), done),
    }
}

/// Whether an unfinished section holds an error message.
///
/// Where nothing should be printed, any whole line is one; a piece without a line end may be the
/// beginning of a sentinel, and counts only if it reads like a message. Where data is printed, only a
/// message in its place counts: values never stand at the beginning of the first line.
fn reports_error(tail: &str, silent: bool) -> bool {
    let Some(first) = tail
        .split_inclusive('\n')
        .find(|line| !line.trim().is_empty())
    else {
        return false;
    };
    is_message(first) || (silent && first.ends_with('\n'))
}

fn refused(text: &str, sections_done: usize) -> Outcome {
    let text = shorten(text);
    let mut reason = Refusal::classify(&text);
    if reason == Refusal::BadCommand && sections_done > 0 {
        // The parser speaks before anything runs; this must be something else.
        reason = Refusal::Other;
    }
    Outcome::Refused(Refused {
        reason,
        text,
        sections_done,
    })
}

fn shorten(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.take(MAX_MESSAGE_LINES).collect();
    lines
        .join("; ")
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_MESSAGE)
        .collect()
}
