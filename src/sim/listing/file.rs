//! `/file`, subvolume and package rows.

use crate::sim::listing::{Record, Shown};
use crate::sim::personality::Personality;
use crate::sim::state::file::{FileEntry, FileKind, Subvolume, iso};
use crate::sim::value::{ItemId, Value};

/// One property of a file for a condition.
pub(crate) fn property(name: &str, file: &FileEntry, wanted: &str) -> Value {
    match wanted {
        "name" => Value::from(name),
        "type" => Value::Text(file.kind_text(name)),
        "size" => Value::from(file.size),
        _ => record(name, file).property(wanted),
    }
}

/// A `/file` row. Names have no leading `/`; the type of a file is two bare words.
pub(crate) fn record(name: &str, file: &FileEntry) -> Record {
    let mut fields = vec![
        ("name", Shown::word(name)),
        ("type", Shown::Word(file.kind_text(name))),
    ];
    if file.kind == FileKind::File {
        fields.push(("size", Shown::Human(file.size)));
    }
    fields.push(("last-modified", Shown::Word(iso(file.modified))));
    Record {
        id: file.id,
        flags: Vec::new(),
        comment: String::new(),
        fields,
        hidden: Vec::new(),
    }
}

/// A `/disk/btrfs/subvolume` row.
pub(crate) fn subvolume(subvolume: &Subvolume) -> Record {
    let fields = vec![
        ("fs", Shown::word(&subvolume.fs)),
        ("name", Shown::quoted(&subvolume.name)),
        ("parent", Shown::quoted(&subvolume.parent)),
        ("read-only", Shown::YesNo(subvolume.read_only)),
    ];
    let (id, flags, hidden) = (subvolume.id, Vec::new(), Vec::new());
    Record {
        id,
        flags,
        comment: String::new(),
        fields,
        hidden,
    }
}

/// The rows of `/system/package`.
pub(crate) fn packages(personality: &Personality) -> Vec<Record> {
    let names = ["routeros", "rose-storage"];
    let present = if personality.rose_storage { 2 } else { 1 };
    let row = |(index, name): (usize, &&str)| Record {
        id: ItemId(index as u64 + 1),
        flags: Vec::new(),
        comment: String::new(),
        fields: vec![
            ("name", Shown::quoted(*name)),
            ("version", Shown::quoted(personality.version.to_string())),
            ("build-time", Shown::word("2026-09-25 12:13:01")),
            ("size", Shown::Human(13_946_061)),
        ],
        hidden: vec![("disabled", false)],
    };
    names.iter().take(present).enumerate().map(row).collect()
}
