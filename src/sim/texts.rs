//! Every message the simulated device can print, in one table, so that hardware can correct it.
//!
//! Wording marked *seen* was recorded on RouterOS; the rest follows the generic RouterOS style and
//! waits for a capture from a real device.

use std::fmt;

/// Why the parser refused a whole line. Nothing of such a line is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    /// What is wrong.
    pub(crate) kind: ParseErrorKind,
    /// One-based column of the offending character.
    pub(crate) column: usize,
}

/// The parse errors RouterOS distinguishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParseErrorKind {
    /// Unknown menu or verb (*seen*).
    BadCommand(String),
    /// Broken quoting, brackets or a newline (*seen*).
    Syntax,
    /// Unknown parameter or an unquoted special character (*seen*).
    ExpectedEnd,
    /// A path that ends before its verb.
    ExpectedCommand,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ParseErrorKind::BadCommand(word) => write!(f, "bad command name {word}")?,
            ParseErrorKind::Syntax => f.write_str("syntax error")?,
            ParseErrorKind::ExpectedEnd => f.write_str("expected end of command")?,
            ParseErrorKind::ExpectedCommand => f.write_str("expected command name")?,
        }
        write!(f, " (line 1 column {})", self.column)
    }
}

/// A failure while a command runs. The rest of the line is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// An id or slot that does not exist (*seen* in general).
    NoSuchItem,
    /// A verb that needs an item was given nothing usable.
    ExpectedItem,
    /// `get` of an item list that is not exactly one item.
    NotOneItem,
    /// An enum, boolean or property name that does not exist.
    NoMatchingValue(String),
    /// A number or string out of its range.
    InvalidValue(String),
    /// A pattern that is not a regular expression.
    BadPattern,
    /// `:len`, arithmetic or a condition over a value of the wrong type.
    BadOperand,
    /// A required argument is missing.
    Missing(&'static str),
    /// The slot is longer than the limit of this version.
    SlotTooLong(usize),
    /// Another entry has this slot.
    DuplicateSlot,
    /// Another export has this subsystem name.
    DuplicateNqn,
    /// Another entry has this backing file.
    DuplicatePath,
    /// The directory of the backing file does not exist.
    NoDirectory,
    /// The backing file exists already and may not be attached.
    FileExists,
    /// The pool has no room.
    NoSpace,
    /// A smaller `file-size` than the present one.
    Shrink,
    /// The entry has live initiators and this device then refuses.
    InUse,
    /// A file that a disk entry uses, on a device that then refuses.
    FileInUse,
    /// The user's group lacks a policy (*seen*).
    Permissions,
    /// The pool is not btrfs.
    NotBtrfs,
    /// The host's file system refused a real backing file.
    Host(String),
    /// Text a test asked for, or the argument of `:error`.
    Given(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchItem => f.write_str("no such item"),
            Self::ExpectedItem => f.write_str("expected item id"),
            Self::NotOneItem => f.write_str("failure: expected exactly one item"),
            Self::NoMatchingValue(name) => write!(f, "input does not match any value of {name}"),
            Self::InvalidValue(name) => write!(f, "invalid value for argument {name}"),
            Self::BadPattern => f.write_str("failure: bad regular expression"),
            Self::BadOperand => f.write_str("script error: cannot compare these types"),
            Self::Missing(name) => write!(f, "failure: missing value of {name}"),
            Self::SlotTooLong(limit) => {
                write!(f, "failure: slot name must not exceed {limit} characters")
            }
            Self::DuplicateSlot => f.write_str("failure: disk with the same name already exists"),
            Self::DuplicateNqn => f.write_str("failure: already have such nvme-tcp-server-nqn"),
            Self::DuplicatePath => f.write_str("failure: already have such file-path"),
            Self::NoDirectory => f.write_str("failure: no such directory"),
            Self::FileExists => f.write_str("failure: file already exists"),
            Self::NoSpace => f.write_str("failure: not enough space"),
            Self::Shrink => f.write_str("failure: file-size can not be reduced"),
            Self::InUse => f.write_str("failure: disk is in use"),
            Self::FileInUse => f.write_str("failure: file is in use"),
            Self::Permissions => f.write_str("not enough permissions (9)"),
            Self::NotBtrfs => f.write_str("failure: not a btrfs file system"),
            Self::Host(text) => write!(f, "failure: {text}"),
            Self::Given(text) => f.write_str(text),
        }
    }
}
