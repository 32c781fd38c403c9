//! What RouterOS says when it refuses, and what that means.
//!
//! The texts are those of several RouterOS versions and menus; the exact wording for disks is not
//! documented. So they are matched as lower-case substrings, and the original text goes along.

/// Why RouterOS refused a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The object is gone.
    NoSuchItem,
    /// A name or path is in use already.
    Duplicate,
    /// The pool is full.
    NoSpace,
    /// The user's group lacks a policy.
    NoPermission,
    /// The device mode blocks the feature.
    DeviceMode,
    /// The object is in use.
    Busy,
    /// The line could not be parsed: a menu, property or escape this version does not know. RouterOS
    /// parses the whole line before it runs any of it.
    BadCommand,
    /// A value is outside its type.
    InvalidValue,
    /// The session or command was cut.
    Interrupted,
    /// Anything else.
    Other,
}

/// Beginnings of messages of the parser.
const PARSE: [&str; 6] = [
    "bad command name",
    "syntax error",
    "expected end of command",
    "expected command name",
    "expected closing",
    "bad parameter",
];

/// Parts of messages of running commands, the more telling ones first.
const RUN: [(&str, Refusal); 20] = [
    ("device-mode", Refusal::DeviceMode),
    ("not enough permissions", Refusal::NoPermission),
    ("not allowed", Refusal::NoPermission),
    ("no such item", Refusal::NoSuchItem),
    ("expected item id", Refusal::NoSuchItem),
    ("already have", Refusal::Duplicate),
    ("already exists", Refusal::Duplicate),
    ("not enough space", Refusal::NoSpace),
    ("no space", Refusal::NoSpace),
    ("disk full", Refusal::NoSpace),
    ("does not match any value", Refusal::InvalidValue),
    ("invalid value", Refusal::InvalidValue),
    ("could not unmount", Refusal::Busy),
    ("in use", Refusal::Busy),
    ("busy", Refusal::Busy),
    ("interrupted", Refusal::Interrupted),
    ("failure:", Refusal::Other),
    ("script error", Refusal::Other),
    ("std failure", Refusal::Other),
    ("action timed out", Refusal::Other),
];

/// Beginnings of messages of running commands: only these are looked for where data may stand.
const RUN_BEGINS: [&str; 11] = [
    "failure:",
    "std failure:",
    "script error",
    "not enough permissions",
    "no such item",
    "expected item id",
    "input does not match",
    "invalid value",
    "could not unmount",
    "interrupted",
    "action timed out",
];

impl Refusal {
    /// Classifies a message that is known to be one.
    pub fn classify(message: &str) -> Self {
        let message = message.trim_start().to_lowercase();
        if begins_with(&message, &PARSE) {
            return Self::BadCommand;
        }
        let known = RUN.iter().find(|(part, _)| message.contains(part));
        known.map_or(Self::Other, |(_, refusal)| *refusal)
    }
}

/// Whether a line of output begins like an error message rather than like data.
pub(super) fn is_message(line: &str) -> bool {
    let line = line.to_lowercase();
    begins_with(&line, &PARSE) || begins_with(&line, &RUN_BEGINS)
}

fn begins_with(line: &str, beginnings: &[&str]) -> bool {
    beginnings
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_messages_have_their_meaning() {
        use Refusal::{
            BadCommand, Busy, DeviceMode, Duplicate, Interrupted, InvalidValue, NoPermission,
            NoSpace, NoSuchItem, Other,
        };
        let table = [
            ("bad command name serialize (line 1 column 8)", BadCommand),
            ("syntax error (line 1 column 12)", BadCommand),
            ("expected end of command (line 1 column 40)", BadCommand),
            (
                "Bad parameter nvme-tcp-export (line 1 column 9)",
                BadCommand,
            ),
            ("expected command name (line 1 column 1)", BadCommand),
            ("input does not match any value of type", InvalidValue),
            ("invalid value for argument file-size", InvalidValue),
            ("no such item", NoSuchItem),
            ("no such item (4)", NoSuchItem),
            ("expected item id (line 1 column 3)", NoSuchItem),
            ("failure: already have such slot", Duplicate),
            ("failure: item with such name already exists", Duplicate),
            ("failure: disk with the same name already exists", Duplicate),
            ("failure: not enough space", NoSpace),
            ("FAILURE: No space left on device", NoSpace),
            (
                "not enough permissions (9) (/disk/add; line 1)",
                NoPermission,
            ),
            ("std failure: not allowed (9)", NoPermission),
            (
                "failure: not allowed by device-mode (/disk/add; line 1)",
                DeviceMode,
            ),
            ("could not unmount, stop using it first", Busy),
            ("failure: disk is in use", Busy),
            ("failure: device busy", Busy),
            ("interrupted", Interrupted),
            (
                "failure: cannot format nfs/smb/tmpfs/sshfs file systems",
                Other,
            ),
            ("failure: syntax error in the name", Other),
            ("script error: unknown", Other),
            ("something new", Other),
        ];
        for (message, expected) in table {
            assert_eq!(Refusal::classify(message), expected, "{message}");
            assert_eq!(is_message(message), message != "something new", "{message}");
        }
    }

    #[test]
    fn data_lines_do_not_begin_like_messages() {
        for line in [
            "",
            "Flags: B - BLOCK-DEVICE",
            " 0  B  ;;; failure: no space",
            "[{\"comment\":\"failure: no space\"}]",
            "               failure: no space",
            "7.16 (stable)",
        ] {
            assert!(!is_message(line), "{line:?}");
        }
    }
}
