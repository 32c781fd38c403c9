//! One `/file` entry, and how names and dates look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sim::backing::Stamp;
use crate::sim::value::ItemId;

/// What a file entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileKind {
    /// The mount point of a pool.
    Root,
    Directory,
    File,
}

/// A file, known under a name without a leading `/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) id: ItemId,
    pub(crate) kind: FileKind,
    pub(crate) size: u64,
    /// Bytes it takes of its pool.
    pub(crate) allocated: u64,
    /// Unix seconds.
    pub(crate) modified: u64,
    /// Contents by sector, when they are kept in memory.
    pub(crate) blocks: BTreeMap<u64, Stamp>,
}

/// A btrfs subvolume: a directory that can be cloned.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Subvolume {
    pub(crate) id: ItemId,
    /// Mount point of its pool.
    pub(crate) fs: String,
    pub(crate) name: String,
    pub(crate) parent: String,
    pub(crate) read_only: bool,
}

/// A file name as the device keeps it, or `None` if it is no plain path.
pub(crate) fn canonical(path: &str) -> Option<String> {
    let name = path.strip_prefix('/').unwrap_or(path);
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let fine = name.split('/').all(plain) && !name.contains('\0');
    fine.then(|| name.to_owned())
}

/// The directory a name lies in.
pub(crate) fn parent(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(parent, _)| parent)
}

/// The mount point of the pool a name lies on: its first component.
pub(crate) fn pool_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

// === impl FileEntry ===

impl FileEntry {
    /// `type` as `/file print` shows it: two words for a file with an extension.
    pub(crate) fn kind_text(&self, name: &str) -> String {
        match self.kind {
            FileKind::Root => "disk".to_owned(),
            FileKind::Directory => "directory".to_owned(),
            FileKind::File => {
                let last = name.rsplit('/').next().unwrap_or(name);
                match last.rsplit_once('.') {
                    Some((_, extension)) => format!(".{extension} file"),
                    None => "file".to_owned(),
                }
            }
        }
    }
}

/// `2025-11-11 16:47:07`, the ISO form RouterOS has used since 7.10. The device lives in UTC.
pub(crate) fn iso(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Civil date from a day count, on a calendar whose years begin in March so that the leap day
    // comes last (Hinnant's algorithm; only years after 1970 occur).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}",
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::{canonical, iso};

    #[test]
    fn dates_are_iso_in_utc() {
        assert_eq!(iso(0), "1970-01-01 00:00:00");
        assert_eq!(iso(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(iso(1_762_879_627), "2025-11-11 16:47:07");
    }

    #[test]
    fn names_lose_one_leading_slash_and_cannot_climb() {
        let rows = [
            ("/storage-pool/a.img", Some("storage-pool/a.img")),
            ("storage-pool/a.img", Some("storage-pool/a.img")),
            ("/storage-pool/../etc/passwd", None),
            ("//storage-pool/a.img", None),
            ("", None),
        ];
        for (path, name) in rows {
            assert_eq!(canonical(path).as_deref(), name, "{path}");
        }
    }
}
