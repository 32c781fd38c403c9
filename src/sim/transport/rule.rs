//! Faults of single lines: what happens, to which lines, how often.

use serde::{Deserialize, Serialize};

/// Which lines a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matcher {
    /// Every line.
    #[default]
    Any,
    /// Lines that contain this text.
    Contains(String),
    /// Lines that run this menu and verb, such as `disk set`: RouterOS takes `/disk set` and
    /// `/disk/set` alike.
    Verb(String),
}

impl Matcher {
    pub(super) fn matches(&self, line: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Contains(text) => line.contains(text),
            Self::Verb(verb) => line
                .replace('/', " ")
                .split([';', '[', '{', '}', ']'])
                .any(|command| runs(command, verb)),
        }
    }
}

/// Whether a command, its slashes already turned into spaces, begins with the words of `verb`.
fn runs(command: &str, verb: &str) -> bool {
    let mut words = command
        .split_whitespace()
        .skip_while(|word| word.starts_with(':'));
    verb.split([' ', '/'])
        .filter(|word| !word.is_empty())
        .all(|wanted| words.next() == Some(wanted))
}

/// What happens to a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection dies and the line is never run.
    DropBefore,
    /// The line runs, then the connection dies without a reply.
    DropAfter,
    /// The line runs, and the connection dies after this many bytes of the reply; after half of it
    /// when not given.
    DropMid {
        /// Bytes of the reply that still arrive.
        at: Option<usize>,
    },
    /// The line is never run and never answered; the connection stays.
    StallBefore,
    /// The line runs and is never answered; the connection stays.
    StallAfter,
    /// The line waits until [`super::TransportFaults::release`], then runs, whether or not anybody
    /// still waits for it.
    Hold,
    /// The line runs this much later.
    Latency {
        /// Milliseconds added.
        ms: u64,
    },
    /// The reply comes at this pace and never ends.
    Trickle {
        /// Bytes in each second.
        bytes_per_second: u32,
    },
    /// The reply is filled up with blanks, in front, to at least this length.
    Giant {
        /// Bytes of the whole reply.
        bytes: usize,
    },
}

/// One fault for some lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// To which lines.
    #[serde(default)]
    pub on: Matcher,
    /// For how many matching lines; without a number until the rules are cleared.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Rule {
    /// The fault for every line until the rules are cleared.
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            on: Matcher::Any,
            times: None,
        }
    }

    /// The fault for the next line that contains `text`.
    pub fn next(fault: Fault, text: &str) -> Self {
        Self {
            fault,
            on: Matcher::Contains(text.to_owned()),
            times: Some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_pick_the_lines_they_name() {
        let publish =
            r#":local s "csi-1";/disk set [find where slot=$s] nvme-tcp-export=yes;:put "N-0""#;
        for (matcher, line, expected) in [
            (Matcher::Any, "", true),
            (Matcher::Contains("csi-1".into()), publish, true),
            (Matcher::Contains("csi-2".into()), publish, false),
            (Matcher::Verb("disk set".into()), publish, true),
            (Matcher::Verb("/disk/set".into()), "/disk/set *1", true),
            (Matcher::Verb("disk remove".into()), publish, false),
            (
                Matcher::Verb("disk find".into()),
                ":put [:len [/disk find]]",
                true,
            ),
            (Matcher::Verb("disk".into()), ":put \"disk set\"", false),
        ] {
            assert_eq!(matcher.matches(line), expected, "{matcher:?} on {line}");
        }
    }
}
