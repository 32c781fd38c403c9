//! A disk entry as the driver understands it, from either form of listing.

use crate::rds::error::ReadError;
use crate::rds::property;
use crate::rds::record::{Record, whole_number};

/// What a disk entry is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// A file offered as a disk: every volume.
    File,
    /// A RAID, partition or bare disk, named as RouterOS names it.
    Other(String),
}

/// One entry of the disk menu.
///
/// A property that the device did not list is `None`, which differs from an empty one: real devices
/// were seen to leave the NVMe names out of entries that are not exported, and older ones lack them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskEntry {
    /// Name of the entry.
    pub slot: String,
    /// What it is.
    pub kind: DiskKind,
    /// Path of the backing file, always with a leading slash.
    pub file_path: Option<String>,
    /// Exact size in bytes.
    pub size: u64,
    /// Free bytes, where a filesystem is mounted.
    pub free: Option<u64>,
    /// Whether it is offered over NVMe/TCP. Always listed for a file; elsewhere absent means no.
    pub exported: bool,
    /// TCP port of the export.
    pub port: Option<u16>,
    /// Subsystem NQN.
    pub subsystem_nqn: Option<String>,
    /// Host NQN that may connect; empty admits every host.
    pub host_nqn: Option<String>,
    /// Where the device mounted it, without a leading slash.
    pub mount_point: Option<String>,
    /// Whether its filesystem is mounted on the device.
    pub mounted: bool,
    /// Whether it is switched off, and with it its export.
    pub disabled: bool,
    /// Filesystem found on it.
    pub filesystem: Option<String>,
    /// Health, of a RAID.
    pub state: Option<String>,
    /// Operator's remark.
    pub comment: Option<String>,
}

impl TryFrom<&Record> for DiskEntry {
    type Error = ReadError;

    fn try_from(record: &Record) -> Result<Self, ReadError> {
        let kind = match record.text(property::TYPE)? {
            "file" => DiskKind::File,
            other => DiskKind::Other(other.to_owned()),
        };
        let size = record.number(property::SIZE)?;
        let exported = record.boolean(property::EXPORT)?;
        if kind == DiskKind::File && exported.is_none() {
            // An export that cannot be seen must not pass for one that is off.
            return Err(ReadError::Missing {
                key: property::EXPORT,
                of: record.label(),
            });
        }
        Ok(Self {
            slot: record.text(property::SLOT)?.to_owned(),
            kind,
            file_path: record
                .nonempty(property::FILE_PATH)
                .map(|path| with_slash(&path)),
            size: size.ok_or_else(|| ReadError::Missing {
                key: property::SIZE,
                of: record.label(),
            })?,
            free: record.number(property::FREE)?,
            exported: exported.unwrap_or(false),
            port: record.parse(property::PORT, "a TCP port", |text| {
                whole_number(text).and_then(|port| u16::try_from(port).ok())
            })?,
            subsystem_nqn: record.get(property::SUBSYSTEM).map(str::to_owned),
            host_nqn: record.get(property::HOST).map(str::to_owned),
            mount_point: record
                .nonempty(property::MOUNT_POINT)
                .map(|path| path.trim_start_matches('/').to_owned()),
            mounted: record.boolean(property::MOUNTED)?.unwrap_or(false),
            disabled: record.boolean(property::DISABLED)?.unwrap_or(false),
            filesystem: record
                .nonempty(property::FILESYSTEM)
                .filter(|name| name != "-"),
            state: record.nonempty(property::STATE),
            // Text listings cannot tell blanks around a comment from its layout.
            comment: record
                .get(property::COMMENT)
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty()),
        })
    }
}

/// Disks are listed with a leading slash, files without: one form makes them comparable.
pub(super) fn with_slash(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rds::json;

    fn read(json_text: &str) -> Result<DiskEntry, String> {
        let records = json::read(json_text).unwrap();
        DiskEntry::try_from(&records[0]).map_err(|error| error.to_string())
    }

    #[test]
    fn absent_empty_and_given_names_differ() {
        let base = r#""slot":"a","type":"file","size":1,"nvme-tcp-export":false"#;
        let names = [
            (String::new(), None),
            (
                r#","nvme-tcp-server-allow-host-name":"""#.to_owned(),
                Some(""),
            ),
            (
                r#","nvme-tcp-server-allow-host-name":"h""#.to_owned(),
                Some("h"),
            ),
        ];
        for (extra, host) in names {
            let entry = read(&format!("{{{base}{extra}}}")).unwrap();
            assert_eq!(entry.host_nqn.as_deref(), host, "{extra}");
        }
    }

    #[test]
    fn conversion_errors_name_key_and_entry() {
        let bad = [
            (r#"{"slot":"s1","type":"file","size":1}"#, "nvme-tcp-export"),
            (
                r#"{"slot":"s1","type":"file","size":"50.0GiB","nvme-tcp-export":true}"#,
                "size",
            ),
            (r#"{"slot":"s1","type":"raid"}"#, "size"),
            (
                r#"{"slot":"s1","type":"file","size":1,"nvme-tcp-export":"maybe"}"#,
                "nvme-tcp-export",
            ),
            (
                r#"{"slot":"s1","type":"file","size":1,"nvme-tcp-export":true,"nvme-tcp-server-port":70000}"#,
                "nvme-tcp-server-port",
            ),
            (r#"{"slot":"s1","size":1}"#, "type"),
        ];
        for (json_text, key) in bad {
            let error = read(json_text).unwrap_err();
            assert!(error.contains(key) && error.contains("s1"), "{error}");
        }
        assert!(
            read(r#"{"type":"raid","size":1}"#)
                .unwrap_err()
                .contains("slot")
        );
    }

    #[test]
    fn paths_have_one_form() {
        let text = r#"{"slot":"a","type":"file","size":1,"nvme-tcp-export":"no","file-path":"raid10/x.img","mount-point":"/raid10","fs":"-","state":""}"#;
        let entry = read(text).unwrap();
        assert_eq!(entry.file_path.as_deref(), Some("/raid10/x.img"));
        assert_eq!(entry.mount_point.as_deref(), Some("raid10"));
        assert_eq!((entry.filesystem, entry.state), (None, None));
    }
}
