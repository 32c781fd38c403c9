//! Values that may stand in a RouterOS command: checked once, quoted later by the line renderer.
//!
//! The checks are the first of two fences. They admit only printable ASCII, so that no value can end
//! a line or carry a control character; the renderer's quoting is the second.

use std::fmt;

use crate::rds::error::InvalidValue;

/// Longest slot of an entry that exists: the Go driver's `pvc-<uuid>` has 40 characters.
pub const MAX_SLOT: usize = 64;

/// Longest slot that may be created: RouterOS 7.24 refuses more than 32 characters.
pub const MAX_NEW_SLOT: usize = 32;

/// Longest NQN, from the NVMe base specification (223 bytes and a terminating NUL).
pub const MAX_NAME: usize = 223;

/// Longest path: a base path of about 100 plus `/`, 32 of slot, three dotted parts of 8, 8 and 16
/// and `.img` comes to 172; 200 leaves room without letting a line outgrow its limit.
pub const MAX_PATH: usize = 200;

/// Name of a disk entry on the device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(String);

/// A subsystem NQN or an allowed host NQN as the device stores it.
///
/// May be empty, which the device understands as "any host", and may hold any printable ASCII:
/// names written by an operator's hand must be comparable too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceName(String);

/// Absolute path of a backing file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackingFile(String);

/// Mount point of a pool, without slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountPoint(String);

/// Literal beginning of slots or of file names; becomes an anchored regex in the line.
///
/// Never empty, because an empty prefix would select everything on the device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(String);

/// Marks the ends of the sections of one line's reply: 16 hexadecimal digits, fresh for every line.
///
/// Nothing stored on the device before the line was sent can contain it, so no comment, name or file
/// content can pass for a sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

// === impl Slot ===

impl Slot {
    /// Accepts 1 to [`MAX_SLOT`] letters, digits, `.`, `_` and `-`.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let text = checked("slot", text, 1..=MAX_SLOT, is_word)?;
        Ok(Self(text))
    }

    /// The slot as the device prints it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl DeviceName ===

impl DeviceName {
    /// Accepts up to [`MAX_NAME`] printable ASCII characters, also none.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let text = checked("NVMe name", text, 0..=MAX_NAME, is_printable)?;
        Ok(Self(text))
    }

    /// The name as the device prints it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl BackingFile ===

impl BackingFile {
    /// Accepts an absolute path of letters, digits, `.`, `_`, `-` and `/`, at most [`MAX_PATH`] long,
    /// with no empty, `.` or `..` component.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let path = checked("backing file", text, 2..=MAX_PATH, is_path)?;
        let relative = path.strip_prefix('/').ok_or_else(|| {
            InvalidValue::new("backing file", text, "does not start with a slash")
        })?;
        if relative
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."))
        {
            let why = "has an empty, `.` or `..` component";
            return Err(InvalidValue::new("backing file", text, why));
        }
        Ok(Self(path))
    }

    /// The path with its leading slash, as `/disk` prints it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash: `/file` prints names so, and compares them as printed.
    pub fn file_name(&self) -> &str {
        self.0.strip_prefix('/').unwrap_or(&self.0)
    }
}

// === impl MountPoint ===

impl MountPoint {
    /// Accepts 1 to [`MAX_SLOT`] letters, digits, `.`, `_` and `-`.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let text = checked("mount point", text, 1..=MAX_SLOT, is_word)?;
        Ok(Self(text))
    }

    /// The mount point as the device prints it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Prefix ===

impl Prefix {
    /// Accepts 1 to [`MAX_PATH`] letters, digits, `.`, `_`, `-` and `/`, not starting with a slash,
    /// since neither slots nor printed file names do and such a prefix would match nothing.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let text = checked("prefix", text, 1..=MAX_PATH, is_path)?;
        if text.starts_with('/') {
            return Err(InvalidValue::new("prefix", &text, "starts with a slash"));
        }
        Ok(Self(text))
    }

    /// The literal prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The regex that matches exactly what begins with the prefix. RouterOS does not anchor `~`.
    pub(super) fn to_regex(&self) -> String {
        // Of the admitted characters only the dot is a regex operator.
        format!("^{}", self.0.replace('.', "\\."))
    }
}

// === impl Nonce ===

impl Nonce {
    /// Makes a nonce of 64 random bits; the caller brings the randomness and never repeats it.
    pub fn new(random: u64) -> Self {
        Self(format!("{random:016x}"))
    }

    /// The line that ends section `index` of the reply.
    pub(super) fn sentinel(&self, index: usize) -> String {
        format!("{}-{index}", self.0)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn checked(
    what: &'static str,
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: fn(char) -> bool,
) -> Result<String, InvalidValue> {
    if let Some(bad) = text.chars().find(|&c| !allowed(c)) {
        return Err(InvalidValue::new(what, text, &format!("contains {bad:?}")));
    }
    if !length.contains(&text.len()) {
        let (least, most) = (length.start(), length.end());
        let why = format!("has {} characters, not {least} to {most}", text.len());
        return Err(InvalidValue::new(what, text, &why));
    }
    Ok(text.to_owned())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_path(c: char) -> bool {
    is_word(c) || c == '/'
}

fn is_printable(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(make: fn(&str) -> Result<T, InvalidValue>, text: &str, accepted: bool) {
        assert_eq!(make(text).is_ok(), accepted, "{text:?}");
    }

    #[test]
    fn slot_admits_only_what_routeros_takes_unquoted() {
        check(Slot::new, "csi-0123456789abcdef0123456789ab", true);
        check(Slot::new, "pvc-42f0d924-eb9f-4a5f-a323-112802392ace", true);
        for bad in [
            "",
            "a b",
            "a\n",
            "a\0",
            "a\"",
            "a$b",
            "a/b",
            "ä",
            &"x".repeat(65),
        ] {
            check(Slot::new, bad, false);
        }
    }

    #[test]
    fn name_admits_hand_written_names_but_no_control_characters() {
        for good in [
            "",
            "nqn.2000-02.com.mikrotik:x",
            "a \"quoted\" $name\\",
            "[x];{y}",
        ] {
            check(DeviceName::new, good, true);
        }
        for bad in [
            "a\r",
            "a\nb",
            "\0",
            "\u{7f}",
            "\u{1b}[0m",
            "naïve",
            &"n".repeat(224),
        ] {
            check(DeviceName::new, bad, false);
        }
    }

    #[test]
    fn path_cannot_leave_its_directory() {
        check(BackingFile::new, "/pool/csi/a.b.img", true);
        for bad in [
            "", "/", "pool/a", "/a//b", "/a/../b", "/a/./b", "/a/", "/a b", "/a\"b",
        ] {
            check(BackingFile::new, bad, false);
        }
        let file = BackingFile::new("/pool/a.img").unwrap();
        assert_eq!(
            (file.as_str(), file.file_name()),
            ("/pool/a.img", "pool/a.img")
        );
    }

    #[test]
    fn prefix_regex_matches_the_prefix_literally() {
        let prefix = Prefix::new("pool/csi-a.").unwrap();
        assert_eq!(prefix.to_regex(), "^pool/csi-a\\.");
        check(Prefix::new, "", false);
        check(Prefix::new, "/pool", false);
        check(Prefix::new, "a|b", false);
        check(MountPoint::new, "storage-pool", true);
        check(MountPoint::new, "a/b", false);
    }

    #[test]
    fn sentinels_of_one_nonce_are_never_prefixes_of_each_other() {
        let nonce = Nonce::new(0xab);
        assert_eq!(nonce.to_string(), "00000000000000ab");
        assert_eq!(nonce.sentinel(3), "00000000000000ab-3");
    }
}
