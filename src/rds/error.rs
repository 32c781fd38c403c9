//! What can go wrong before a line is sent and while its reply is read.

use thiserror::Error;

/// Longest piece of foreign text repeated in an error.
const MAX_QUOTED: usize = 80;

/// A value that may not stand in a RouterOS command.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what} {text:?} cannot be used on RouterOS: it {why}")]
pub struct InvalidValue {
    what: &'static str,
    text: String,
    why: String,
}

impl InvalidValue {
    pub(super) fn new(what: &'static str, text: &str, why: &str) -> Self {
        Self {
            what,
            text: excerpt(text),
            why: why.to_owned(),
        }
    }
}

/// A line that must not be sent. Nothing has reached the device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LineError {
    /// RouterOS has a command buffer of unpublished size; see `line::MAX_LINE`.
    #[error(
        "RouterOS {verb} line has {length} characters, more than the {limit} sent at most; use shorter names or paths"
    )]
    TooLong {
        /// What the line was to do.
        verb: &'static str,
        /// Its rendered length in bytes.
        length: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// Expected and new names name different properties, so the step would leave half a fence.
    #[error("RouterOS {verb} line mixes names of different fencing modes")]
    MixedNames {
        /// What the line was to do.
        verb: &'static str,
    },
    /// Current RouterOS refuses such a slot when the entry is added.
    #[error("slot {slot:?} has {length} characters, RouterOS takes at most {limit}")]
    SlotTooLong {
        /// The slot.
        slot: String,
        /// Its length.
        length: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// RouterOS integers are signed 64-bit, and an empty volume is no volume.
    #[error("volume size {bytes} is outside 1 to 2^63-1 bytes")]
    Size {
        /// The size in bytes.
        bytes: u64,
    },
    /// A line without any section would prove nothing.
    #[error("a RouterOS read line needs 1 to {limit} reads, got {count}")]
    Reads {
        /// Reads asked for.
        count: usize,
        /// Most reads in one line.
        limit: usize,
    },
}

/// A section of a complete reply that does not say what it should.
///
/// The command has run: a caller that changed something must read again.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The section is not the JSON that `:serialize` writes.
    #[error(
        "RouterOS answered with text that is not a JSON list of records: {source}; it begins {begins:?}"
    )]
    Json {
        /// What the JSON reader objected to.
        source: serde_json::Error,
        /// The beginning of the section.
        begins: String,
    },
    /// The section is not the `print detail` layout.
    #[error("RouterOS printed a listing that cannot be read: {why}: {line:?}")]
    Text {
        /// What is wrong with it.
        why: &'static str,
        /// The line or record, shortened.
        line: String,
    },
    /// A record lacks a property it must have.
    #[error("RouterOS entry {of:?} has no {key}")]
    Missing {
        /// The property.
        key: &'static str,
        /// Slot or name of the record.
        of: String,
    },
    /// A property has a value outside its type.
    #[error("RouterOS entry {of:?} has {key}={value:?}, which is not {expected}")]
    Value {
        /// The property.
        key: &'static str,
        /// Slot or name of the record.
        of: String,
        /// The value as the device gave it, shortened.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// More than one record where the condition names one object.
    #[error("RouterOS listed {count} entries where one at most can match")]
    Several {
        /// How many.
        count: usize,
    },
    /// The answer has no read of this kind at this place: a mistake of the caller.
    #[error("read {index} of the line is not one of {wanted}")]
    NoSuchRead {
        /// Place among the reads of the line.
        index: usize,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A single value, such as a version, that cannot be read.
    #[error("RouterOS answered {text:?}, which is not {expected}")]
    Scalar {
        /// The answer, shortened.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// The beginning of a text, short enough for an error message.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
