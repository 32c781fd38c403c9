//! A file of the device as the driver understands it, from either form of listing.

use crate::rds::entry::with_slash;
use crate::rds::error::ReadError;
use crate::rds::property;
use crate::rds::record::{Record, whole_number};

/// Size of a file as listed. Text listings round all but small ones to one decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSize {
    /// Exact bytes.
    Exact(u64),
    /// Bytes, off by up to a twentieth of the unit it was printed in; for people, not for decisions.
    Rounded(u64),
}

/// One entry of the file menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path, always with a leading slash, as disk entries have it.
    pub path: String,
    /// Size, absent for directories.
    pub size: Option<FileSize>,
    /// Whether it is a directory or the root of a mounted disk.
    pub is_dir: bool,
}

impl TryFrom<&Record> for FileEntry {
    type Error = ReadError;

    fn try_from(record: &Record) -> Result<Self, ReadError> {
        let kind = record.text(property::TYPE)?;
        Ok(Self {
            path: with_slash(record.text(property::NAME)?),
            is_dir: matches!(kind, "directory" | "disk"),
            size: record.parse(property::SIZE, "a file size", file_size)?,
        })
    }
}

/// Bytes, or one decimal with a binary unit.
fn file_size(text: &str) -> Option<FileSize> {
    if let Some(bytes) = whole_number(text) {
        return Some(FileSize::Exact(bytes));
    }
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenths = whole_number(tenths).filter(|&digit| digit < 10)?;
    let unit = 1_u64 << shift;
    let bytes = whole_number(whole)?
        .checked_mul(unit)?
        .checked_add(tenths * unit / 10)?;
    Some(FileSize::Rounded(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_bytes_are_exact() {
        let table = [
            ("5", Some(FileSize::Exact(5))),
            ("10 737 418 240", Some(FileSize::Exact(10 << 30))),
            ("10.0GiB", Some(FileSize::Rounded(10 << 30))),
            ("1024.0MiB", Some(FileSize::Rounded(1 << 30))),
            ("1.5KiB", Some(FileSize::Rounded(1536))),
            ("2TiB", Some(FileSize::Rounded(2 << 40))),
            ("", None),
            ("GiB", None),
            ("1.25GiB", None),
            ("99999999999TiB", None),
            ("ten", None),
        ];
        for (text, expected) in table {
            assert_eq!(file_size(text), expected, "{text:?}");
        }
    }
}
