//! Menus, verbs and parameters: what parses on which device.

use crate::sim::personality::Personality;

/// A menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Menu {
    Root,
    Disk,
    Btrfs,
    Subvolume,
    File,
    System,
    Resource,
    Identity,
    Package,
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Print,
    Find,
    Get,
    Set,
    Add,
    Remove,
    Enable,
    Disable,
    MonitorTraffic,
    Copy,
}

/// A command of a menu.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) menu: Menu,
    pub(crate) verb: Verb,
    word: &'static str,
    /// In full, as faults and gates name it.
    pub(crate) name: &'static str,
}

/// Whether a condition may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    None,
    /// After the word `where`.
    Where,
    /// Anything is the condition.
    Always,
}

/// What may follow a verb.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) positional: usize,
    pub(super) named: Vec<&'static str>,
    pub(super) flags: &'static [&'static str],
    pub(super) filter: Filter,
}

const fn row(menu: Menu, verb: Verb, word: &'static str, name: &'static str) -> Command {
    Command {
        menu,
        verb,
        word,
        name,
    }
}

static COMMANDS: [Command; 26] = [
    row(Menu::Disk, Verb::Print, "print", "/disk/print"),
    row(Menu::Disk, Verb::Find, "find", "/disk/find"),
    row(Menu::Disk, Verb::Get, "get", "/disk/get"),
    row(Menu::Disk, Verb::Set, "set", "/disk/set"),
    row(Menu::Disk, Verb::Add, "add", "/disk/add"),
    row(Menu::Disk, Verb::Remove, "remove", "/disk/remove"),
    row(Menu::Disk, Verb::Enable, "enable", "/disk/enable"),
    row(Menu::Disk, Verb::Disable, "disable", "/disk/disable"),
    row(
        Menu::Disk,
        Verb::MonitorTraffic,
        "monitor-traffic",
        "/disk/monitor-traffic",
    ),
    row(Menu::Disk, Verb::Copy, "copy", "/disk/copy"),
    row(
        Menu::Subvolume,
        Verb::Print,
        "print",
        "/disk/btrfs/subvolume/print",
    ),
    row(
        Menu::Subvolume,
        Verb::Find,
        "find",
        "/disk/btrfs/subvolume/find",
    ),
    row(
        Menu::Subvolume,
        Verb::Add,
        "add",
        "/disk/btrfs/subvolume/add",
    ),
    row(
        Menu::Subvolume,
        Verb::Remove,
        "remove",
        "/disk/btrfs/subvolume/remove",
    ),
    row(Menu::File, Verb::Print, "print", "/file/print"),
    row(Menu::File, Verb::Find, "find", "/file/find"),
    row(Menu::File, Verb::Get, "get", "/file/get"),
    row(Menu::File, Verb::Add, "add", "/file/add"),
    row(Menu::File, Verb::Remove, "remove", "/file/remove"),
    row(
        Menu::Resource,
        Verb::Print,
        "print",
        "/system/resource/print",
    ),
    row(Menu::Resource, Verb::Get, "get", "/system/resource/get"),
    row(
        Menu::Identity,
        Verb::Print,
        "print",
        "/system/identity/print",
    ),
    row(Menu::Identity, Verb::Get, "get", "/system/identity/get"),
    row(Menu::Identity, Verb::Set, "set", "/system/identity/set"),
    row(Menu::Package, Verb::Print, "print", "/system/package/print"),
    row(Menu::Package, Verb::Find, "find", "/system/package/find"),
];

/// Parameters of `/disk set` that every RouterOS has.
const DISK_PLAIN: [&str; 8] = [
    "slot",
    "comment",
    "disabled",
    "mount-filesystem",
    "mount-read-only",
    "compress",
    "swap",
    "smb-sharing",
];

/// Parameters of `/disk set` that come with rose-storage.
const DISK_ROSE: [&str; 9] = [
    "file-size",
    "file-offset",
    "nvme-tcp-export",
    "nvme-tcp-server-port",
    "nvme-tcp-server-nqn",
    "nvme-tcp-server-password",
    "iscsi-export",
    "nfs-sharing",
    "media-sharing",
];

/// The parameter some releases lack.
pub(crate) const ALLOW_HOST_NAME: &str = "nvme-tcp-server-allow-host-name";

/// Properties of `/disk` rows that can be looked at.
const DISK_SHOWN: [&str; 51] = [
    ".id",
    "type",
    "slot",
    "slot-default",
    "parent",
    "fs",
    "fs-label",
    "fs-uuid",
    "uuid",
    "model",
    "size",
    "free",
    "use",
    "mount-point",
    "total-inodes",
    "free-inodes",
    "mount-filesystem",
    "mount-read-only",
    "compress",
    "sector-size",
    "raid-type",
    "raid-device-count",
    "raid-max-component-size",
    "raid-chunk-size",
    "raid-master",
    "raid-role",
    "raid-uuid",
    "raid-state",
    "state",
    "nvme-tcp-export",
    "nvme-tcp-server-port",
    "nvme-tcp-server-nqn",
    ALLOW_HOST_NAME,
    "iscsi-export",
    "nfs-sharing",
    "smb-sharing",
    "media-sharing",
    "media-interface",
    "swap",
    "file-path",
    "file-size",
    "file-offset",
    "comment",
    "disabled",
    "mounted",
    "block-device",
    "empty",
    "raid-member",
    "encrypted",
    "partition",
    "serial",
];

const FILE_SHOWN: [&str; 6] = [".id", "name", "type", "size", "last-modified", "contents"];
const SUBVOLUME_SHOWN: [&str; 5] = [".id", "fs", "name", "parent", "read-only"];
const PACKAGE_SHOWN: [&str; 5] = [".id", "name", "version", "build-time", "size"];
const PRINT_FLAGS: [&str; 6] = [
    "detail",
    "as-value",
    "count-only",
    "terse",
    "brief",
    "without-paging",
];

impl Menu {
    /// The menu below, if this device has it.
    pub(super) fn child(self, word: &str, personality: &Personality) -> Option<Self> {
        Some(match (self, word) {
            (Self::Root, "disk") => Self::Disk,
            (Self::Root, "file") => Self::File,
            (Self::Root, "system") => Self::System,
            (Self::Disk, "btrfs") if personality.has_btrfs_menus() => Self::Btrfs,
            (Self::Btrfs, "subvolume") => Self::Subvolume,
            (Self::System, "resource") => Self::Resource,
            (Self::System, "identity") => Self::Identity,
            (Self::System, "package") => Self::Package,
            _ => return None,
        })
    }

    pub(super) fn command(self, word: &str) -> Option<&'static Command> {
        COMMANDS
            .iter()
            .find(|command| command.menu == self && command.word == word)
    }

    /// Whether rows of this menu have a property of this name on this device.
    pub(crate) fn has_property(self, name: &str, personality: &Personality) -> bool {
        match self {
            Self::Disk => {
                let export = name.starts_with("nvme-tcp-") || name.starts_with("file-");
                DISK_SHOWN.contains(&name)
                    && (name != ALLOW_HOST_NAME || personality.allow_host_name)
                    && (!export || personality.rose_storage)
            }
            Self::File => FILE_SHOWN.contains(&name),
            Self::Subvolume => SUBVOLUME_SHOWN.contains(&name),
            Self::Package => PACKAGE_SHOWN.contains(&name),
            Self::Root | Self::Btrfs | Self::System | Self::Resource | Self::Identity => false,
        }
    }
}

impl Command {
    /// What may follow this verb on this device.
    pub(super) fn arguments(&self, personality: &Personality) -> Arguments {
        let singleton = matches!(self.menu, Menu::Resource | Menu::Identity);
        let plain = |positional, named: &[&'static str]| Arguments {
            positional,
            named: named.to_vec(),
            flags: &[],
            filter: Filter::None,
        };
        match (self.verb, self.menu) {
            (Verb::Print, _) => Arguments {
                flags: &PRINT_FLAGS,
                filter: if singleton {
                    Filter::None
                } else {
                    Filter::Where
                },
                ..plain(0, &["from", "proplist"])
            },
            (Verb::Find, _) => Arguments {
                filter: Filter::Always,
                ..plain(0, &[])
            },
            (Verb::Get, _) => plain(if singleton { 1 } else { 2 }, &["numbers", "value-name"]),
            (Verb::Set, Menu::Identity) => plain(0, &["name"]),
            (Verb::Set, _) => {
                let mut arguments = plain(1, &["numbers"]);
                arguments.named.extend(disk_parameters(personality));
                arguments
            }
            (Verb::Add, Menu::Disk) => {
                let mut arguments = plain(0, &["copy-from", "type"]);
                arguments
                    .named
                    .extend(personality.rose_storage.then_some("file-path"));
                arguments.named.extend(disk_parameters(personality));
                arguments
            }
            (Verb::Add, Menu::Subvolume) => plain(0, &["fs", "name", "parent", "read-only"]),
            (Verb::Add, _) => plain(0, &["name", "type"]),
            (Verb::Remove | Verb::Enable | Verb::Disable, _) => plain(1, &["numbers"]),
            (Verb::MonitorTraffic, _) => Arguments {
                flags: &["once"],
                ..plain(1, &["numbers", "interval"])
            },
            (Verb::Copy, _) => plain(0, &["src", "dst"]),
        }
    }
}

fn disk_parameters(personality: &Personality) -> impl Iterator<Item = &'static str> {
    let rose: &[&str] = if personality.rose_storage {
        &DISK_ROSE
    } else {
        &[]
    };
    let allow = personality.rose_storage && personality.allow_host_name;
    DISK_PLAIN
        .iter()
        .chain(rose)
        .copied()
        .chain(allow.then_some(ALLOW_HOST_NAME))
}
