//! What kind of RDS is simulated: version, packages, limits, and the answers nobody has checked on
//! hardware yet, each a knob.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A RouterOS version. Only major and minor decide about features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// 7 on every RDS.
    pub major: u16,
    /// 16 in 7.16.
    pub minor: u16,
    /// 4 in 7.24.4; 0 is not printed.
    pub patch: u16,
}

/// How the exit status of an exec request looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStyle {
    /// RouterOS: errors go to stdout and the status is 0.
    AlwaysZero,
    /// Errors go to stderr and the status is 1.
    Strict,
    /// No exit status is sent at all.
    Absent,
}

/// How `:serialize to=json` writes integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JsonIntegers {
    /// `2048`
    Plain,
    /// `2048.000000`, seen on some releases.
    SixDecimals,
}

/// Which hosts an empty allow-list admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyAllowList {
    /// RouterOS documents `""` as anyone.
    AnyHost,
    /// The Linux kernel target admits nobody.
    Nobody,
}

/// A device model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an independent yes-or-no answer about one device, set by name"
)]
pub struct Personality {
    /// Decides about `:serialize` (7.13) and the btrfs menus (7.18).
    pub version: Version,
    /// Without the package the export parameters and btrfs menus do not parse.
    pub rose_storage: bool,
    /// Most characters of a slot; none for old releases.
    pub slot_limit: Option<usize>,
    /// How JSON integers look.
    pub json_integers: JsonIntegers,
    /// The property `nvme-tcp-server-allow-host-name` exists.
    pub allow_host_name: bool,
    /// `set nvme-tcp-server-nqn` after `add` is silently ignored.
    pub fixed_subsystem_nqn: bool,
    /// Where errors go.
    pub exit: ExitStyle,
    /// Runtime errors end in ` (/menu/verb; line 1)`.
    pub error_location: bool,
    /// Columns at which `print detail` wraps.
    pub width: usize,
    /// Columns at the right edge a token may not reach unless it is cut there. Two fits every
    /// recorded listing: tokens ending in column 79 or 80 moved to the next line.
    pub margin: usize,
    /// A number in groups of three may be wrapped between its groups.
    pub breaks_digit_groups: bool,
    /// Field names and `parent=none` of older 7.x listings.
    pub old_fields: bool,
    /// `print` shows the names of an export that is off. Recorded listings of RAID entries do not
    /// show them; for file disks nobody has looked.
    pub shows_unexported_names: bool,
    /// Comparing a property with `""` in a `where` can be true.
    pub empty_string_matches: bool,
    /// `copy-from` copies data as well (RouterOS copies property values only).
    pub copy_from_copies_data: bool,
    /// `add` takes over an existing, unused file.
    pub attaches_existing_file: bool,
    /// Files take space as they are written, not when they are made.
    pub sparse: bool,
    /// A smaller `file-size` cuts the file instead of failing.
    pub shrinks: bool,
    /// `nvme-tcp-export=no` ends the sessions. The ablation that breaks fencing is `false`.
    pub ends_sessions_on_unexport: bool,
    /// Changing the allow-list ends sessions of hosts no longer on it.
    pub ends_sessions_on_allow_change: bool,
    /// Whom an empty allow-list admits.
    pub empty_allow_list: EmptyAllowList,
    /// `remove` of a connected entry fails instead of ending its sessions.
    pub refuses_remove_while_connected: bool,
    /// `/file remove` of a file that a disk entry uses fails.
    pub refuses_remove_of_used_file: bool,
    /// `/system identity print` is torn over several lines (7.24.3).
    pub splits_identity: bool,
    /// Reading `/system/resource` needs the policy `test`.
    pub resource_needs_test: bool,
    /// `/file print` begins with a legend, as newer manuals show.
    pub file_legend: bool,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policies {
    /// `print`, `get`, `find`.
    pub read: bool,
    /// `add`, `set`, `remove`, `copy`.
    pub write: bool,
    /// `monitor-traffic`.
    pub test: bool,
}

impl Policies {
    /// Everything the simulator knows.
    pub const FULL: Self = Self {
        read: true,
        write: true,
        test: true,
    };
    /// Looking only.
    pub const READ_ONLY: Self = Self {
        read: true,
        write: false,
        test: false,
    };
}

// === impl Personality ===

impl Default for Personality {
    fn default() -> Self {
        Self::v7_24()
    }
}

impl Personality {
    /// The names [`Personality::named`] knows.
    pub const NAMES: [&str; 6] = [
        "7.12",
        "7.16",
        "7.24",
        "without-allow-host-name",
        "fixed-subsystem-nqn",
        "without-rose-storage",
    ];

    /// A current release: JSON, slots of at most 32 characters.
    pub fn v7_24() -> Self {
        Self {
            version: Version {
                major: 7,
                minor: 24,
                patch: 5,
            },
            rose_storage: true,
            slot_limit: Some(32),
            json_integers: JsonIntegers::Plain,
            allow_host_name: true,
            fixed_subsystem_nqn: false,
            exit: ExitStyle::AlwaysZero,
            error_location: false,
            width: 80,
            margin: 2,
            breaks_digit_groups: false,
            old_fields: false,
            shows_unexported_names: true,
            empty_string_matches: true,
            copy_from_copies_data: false,
            attaches_existing_file: true,
            sparse: true,
            shrinks: false,
            ends_sessions_on_unexport: true,
            ends_sessions_on_allow_change: false,
            empty_allow_list: EmptyAllowList::AnyHost,
            refuses_remove_while_connected: false,
            refuses_remove_of_used_file: false,
            splits_identity: false,
            resource_needs_test: false,
            file_legend: false,
        }
    }

    /// The release of the recorded listings: JSON, no slot limit, no btrfs menus.
    pub fn v7_16() -> Self {
        let version = Version {
            major: 7,
            minor: 16,
            patch: 0,
        };
        Self {
            version,
            slot_limit: None,
            ..Self::v7_24()
        }
    }

    /// Text only: no `:serialize`; the older field names.
    pub fn v7_12() -> Self {
        let version = Version {
            major: 7,
            minor: 12,
            patch: 1,
        };
        Self {
            version,
            slot_limit: None,
            old_fields: true,
            ..Self::v7_24()
        }
    }

    /// A release that does not know `nvme-tcp-server-allow-host-name`.
    pub fn without_allow_host_name() -> Self {
        Self {
            allow_host_name: false,
            ..Self::v7_16()
        }
    }

    /// A device on which subsystem names are fixed by `add`.
    pub fn fixed_subsystem_nqn() -> Self {
        Self {
            fixed_subsystem_nqn: true,
            ..Self::v7_24()
        }
    }

    /// A RouterOS without the rose-storage package.
    pub fn without_rose_storage() -> Self {
        Self {
            rose_storage: false,
            ..Self::v7_24()
        }
    }

    /// One of [`Personality::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "7.12" => Self::v7_12(),
            "7.16" => Self::v7_16(),
            "7.24" => Self::v7_24(),
            "without-allow-host-name" => Self::without_allow_host_name(),
            "fixed-subsystem-nqn" => Self::fixed_subsystem_nqn(),
            "without-rose-storage" => Self::without_rose_storage(),
            _ => return None,
        })
    }

    /// `:serialize` came with 7.13.
    pub fn has_serialize(&self) -> bool {
        self.at_least(7, 13)
    }

    /// The btrfs menus came with 7.18 and belong to rose-storage.
    pub fn has_btrfs_menus(&self) -> bool {
        self.rose_storage && self.at_least(7, 18)
    }

    fn at_least(&self, major: u16, minor: u16) -> bool {
        (self.version.major, self.version.minor) >= (major, minor)
    }
}

// === impl Version ===

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 {
            write!(f, ".{}", self.patch)
        } else {
            Ok(())
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("{text:?} is not a RouterOS version such as 7.16 or 7.24.5");
        let mut parts = text
            .splitn(3, '.')
            .map(|part| part.parse::<u16>().map_err(wrong));
        let mut next = || parts.next().unwrap_or(Ok(0));
        Ok(Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        })
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}
