//! The RouterOS commands the driver knows, as values. `line` turns them into text, nothing else does.

use crate::rds::value::{BackingFile, MountPoint, Prefix, Slot};

/// How a listing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadForm {
    /// `:serialize to=json`, exact and unwrapped: RouterOS 7.13 and later.
    Json,
    /// `print detail`, wrapped at 80 columns: every version.
    Text,
}

/// One question of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The disk entry of one slot.
    Disk(Slot),
    /// The disk entries whose slot begins so.
    Disks(Prefix),
    /// How many disk entries have a slot that begins so.
    DiskCount(Prefix),
    /// The disk entry mounted there, which has the pool's capacity.
    Pool(MountPoint),
    /// One file by its exact name.
    File(BackingFile),
    /// The files, in whatever directory, whose name begins with this slot and a dot.
    BackingFiles(Slot),
    /// The RouterOS version.
    Version,
    /// Time since the device started.
    Uptime,
    /// The name the operator gave the device.
    Identity,
}

/// A menu of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Menu {
    Disk,
    File,
}

/// A variable that holds a value used several times in one line, to keep the line short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    Slot,
    Subsystem,
    Host,
}

/// The right-hand side of a comparison or an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Any text; the renderer quotes it.
    Text(String),
    /// The variable of this line.
    Local(Local),
    Number(u64),
    /// `yes` or `no`.
    Bool(bool),
    /// A fixed word of the language, never taken from outside.
    Word(&'static str),
}

/// One comparison of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) key: &'static str,
    pub(super) test: Test,
    pub(super) operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equals,
    Below,
    /// Unanchored regular expression.
    Matches,
}

/// `key=value` of an `add` or `set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assign {
    pub(super) key: &'static str,
    pub(super) operand: Operand,
}

/// A step that prints nothing when it succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Declare {
        local: Local,
        value: String,
    },
    /// Changes what meets every term; silently nothing when nothing does.
    SetDisk {
        when: Vec<Term>,
        to: Vec<Assign>,
    },
    /// Removes what meets every term.
    Remove {
        menu: Menu,
        when: Vec<Term>,
    },
    /// Adds a disk unless one with the line's slot exists.
    AddDisk(Vec<Assign>),
}

/// A question, ready to be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Query {
    List {
        menu: Menu,
        when: Term,
        form: ReadForm,
    },
    CountDisks {
        when: Term,
    },
    Get {
        menu: &'static str,
        key: &'static str,
    },
}

/// A part of a line whose output ends with its own sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Any output is an error message.
    Silent(Vec<Step>),
    Read(Query),
}

impl Term {
    pub(super) fn equals(key: &'static str, operand: Operand) -> Self {
        Self {
            key,
            test: Test::Equals,
            operand,
        }
    }

    pub(super) fn below(key: &'static str, bytes: u64) -> Self {
        Self {
            key,
            test: Test::Below,
            operand: Operand::Number(bytes),
        }
    }

    /// The backing files of a slot. Of the characters of a slot only the dot is a regex operator.
    pub(super) fn backing_files(slot: &Slot) -> Self {
        Self {
            key: crate::rds::property::NAME,
            test: Test::Matches,
            operand: Operand::Text(format!("/{}\\.", slot.as_str().replace('.', "\\."))),
        }
    }

    pub(super) fn begins(key: &'static str, prefix: &Prefix) -> Self {
        Self {
            key,
            test: Test::Matches,
            operand: Operand::Text(prefix.to_regex()),
        }
    }
}

impl Operand {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
