//! Reads `/proc/self/mountinfo`: where a mount is, and what filesystem it is of.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Filesystems whose locks the kernel of this very machine keeps, so that the death of a process
/// here, and nothing else, releases them. Not `overlay`: that is the container's own root, made anew
/// for each container, so that a predecessor has locked another file.
const LOCAL: [&str; 10] = [
    "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "ramfs", "xfs", "zfs",
];

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// What kind of filesystem it is.
    pub(super) filesystem: String,
}

// === impl Mount ===

impl Mount {
    /// The mount with this id. By id and not by path: more than one may be mounted at a path, one
    /// over the other.
    pub(super) fn find(mountinfo: &[u8], id: u64) -> Option<Self> {
        mountinfo
            .split(|byte| *byte == b'\n')
            .find_map(|line| Self::parse(line, id))
    }

    /// `36 35 98:0 /root /mnt/point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: the
    /// optional fields before the hyphen are none or many.
    fn parse(line: &[u8], wanted: u64) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?;
        if id.parse() != Ok(wanted) {
            return None;
        }
        let point = fields.nth(3)?;
        let mut after = fields.skip_while(|field| *field != b"-");
        let filesystem = after.nth(1).filter(|name| !name.is_empty())?;
        Some(Self {
            point: PathBuf::from(OsString::from_vec(unescape(point))),
            filesystem: String::from_utf8_lossy(filesystem).into_owned(),
        })
    }

    /// Whether its locks can be trusted.
    pub(super) fn is_local(&self) -> bool {
        LOCAL.contains(&self.filesystem.as_str())
    }
}

/// The kernel writes space, tab, line feed and backslash as a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| first == b'\\');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(byte.unwrap_or(first));
        rest = match byte {
            Some(_) => tail.get(3..).unwrap_or_default(),
            None => tail,
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a container sees it.
    const TABLE: &str = "\
599 545 0:124 / / rw,relatime master:222 - overlay overlay rw,lowerdir=/l,upperdir=/u
600 599 0:126 / /proc rw,nosuid - proc proc rw
611 599 259:1 /var/lib/kubelet/pods/0f3c/volumes/kubernetes.io~empty-dir/lock /run/rds-csi/lock rw,relatime - ext4 /dev/nvme0n1p1 rw
612 599 0:130 / /run/rds-csi/mem rw - tmpfs tmpfs rw,size=16k
613 599 0:131 / /run/with\\040space\\011tab\\134slash rw shared:7 master:8 propagate_from:2 - xfs /dev/a\\040b rw
614 612 0:132 / /run/rds-csi/mem rw - nfs4 server:/export rw
615 599 0:133 / /run/fuse rw - fuse.sshfs host: rw
61 599 0:134 / /run/other rw - btrfs /dev/b rw
616 599 0:135 /
617 599 0:136 / /run/cut rw - ";

    #[test]
    fn a_mount_is_found_by_its_id_with_its_place_and_kind() {
        let rows = [
            (599, Some(("/", "overlay", false))),
            (611, Some(("/run/rds-csi/lock", "ext4", true))),
            (612, Some(("/run/rds-csi/mem", "tmpfs", true))),
            (613, Some(("/run/with space\ttab\\slash", "xfs", true))),
            // Mounted over another, and it is the upper one that a path leads to.
            (614, Some(("/run/rds-csi/mem", "nfs4", false))),
            (615, Some(("/run/fuse", "fuse.sshfs", false))),
            (61, Some(("/run/other", "btrfs", true))),
            (600, Some(("/proc", "proc", false))),
            // Cut short, and unknown.
            (616, None),
            (617, None),
            (6, None),
        ];
        for (id, expected) in rows {
            let found = Mount::find(TABLE.as_bytes(), id);
            let found = found.as_ref().map(|mount| {
                let point = mount.point.to_str().unwrap();
                (point, mount.filesystem.as_str(), mount.is_local())
            });
            assert_eq!(found, expected, "{id}");
        }
        assert_eq!(Mount::find(b"", 1), None);
    }

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a\\040b", "a b"),
            ("\\134040", "\\040"),
            ("a\\04", "a\\04"),
            ("a\\089", "a\\089"),
            ("a\\777", "a\\777"),
            ("\\", "\\"),
        ] {
            assert_eq!(unescape(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }
}
