//! Backing files: where they lie, and whose they are. The name is the proof of ownership.

use std::fmt;
use std::str::FromStr;

use crate::domain::error::{Error, Kind};
use crate::domain::id::{ClusterTag, VolumeId, is_lower_hex};

/// RouterOS prints and takes long paths, but every byte counts against the length of a command.
const MAX_DIRECTORY: usize = 128;
const NONCE_DIGITS: usize = 16;
const SUFFIX: &str = "img";

/// An absolute directory on the RDS in canonical form: no `.`, `..`, `//` or trailing slash, only
/// letters, digits, `.`, `_`, `-` in its parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Directory(String);

/// Eight hex digits over the parameters a volume was created with, so that a retry with other
/// parameters is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParametersDigest(String);

/// The backing file of a volume of ours: `<directory>/<slot>.<cluster>.<parameters>.<nonce>.img`.
///
/// The nonce belongs to one incarnation of the volume: a late command that removes this file can
/// never hit the file of a volume made again under the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackingFile {
    /// Where it lies.
    pub directory: Directory,
    /// The volume it belongs to.
    pub volume: VolumeId,
    /// The cluster it belongs to.
    pub cluster: ClusterTag,
    /// What the volume was created with.
    pub parameters: ParametersDigest,
    /// The incarnation.
    pub nonce: u64,
}

// === impl Directory ===

impl Directory {
    /// The path, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this directory is `base` or lies below it, compared part by part: `/pool/csi-evil`
    /// is not below `/pool/csi`.
    pub fn is_within(&self, base: &Self) -> bool {
        self.0
            .strip_prefix(&base.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The first part: the mount point of the pool, as `/disk` shows it.
    pub fn pool(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
}

impl FromStr for Directory {
    type Err = Error;

    fn from_str(raw: &str) -> Result<Self, Error> {
        let part_is_good = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        };
        let parts = raw.strip_prefix('/').map(|rest| rest.split('/'));
        if raw.len() > MAX_DIRECTORY || !parts.is_some_and(|mut parts| parts.all(part_is_good)) {
            return Err(Error::invalid(format!(
                "{raw:?} is not an absolute directory of at most {MAX_DIRECTORY} bytes with parts of A-Z a-z 0-9 . _ -"
            )));
        }
        Ok(Self(raw.to_owned()))
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ParametersDigest ===

impl ParametersDigest {
    const LENGTH: usize = 8;

    /// Takes the first digits of a longer hex digest.
    pub fn from_hex(digest: &str) -> Self {
        Self(digest.chars().take(Self::LENGTH).collect())
    }
}

// === impl BackingFile ===

impl BackingFile {
    /// The path, with its leading slash.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Takes a path apart; `None` if no driver of this kind gave it.
    pub fn read(path: &str) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/')?;
        let mut parts = name.split('.');
        let file = Self {
            volume: parts.next()?.parse().ok()?,
            cluster: parts.next()?.parse().ok()?,
            parameters: parts
                .next()
                .filter(|digest| is_hex(digest, ParametersDigest::LENGTH))
                .map(|digest| ParametersDigest(digest.to_owned()))?,
            nonce: parts
                .next()
                .filter(|nonce| is_hex(nonce, NONCE_DIGITS))
                .and_then(|nonce| u64::from_str_radix(nonce, 16).ok())?,
            directory: directory.parse().ok()?,
        };
        (parts.next() == Some(SUFFIX) && parts.next().is_none()).then_some(file)
    }

    /// Proof that the file at `path` belongs to `volume` of `cluster` below `base`.
    ///
    /// # Errors
    /// `InUse` (the operation must not go on) naming what differs.
    pub fn prove(
        path: &str,
        volume: &VolumeId,
        cluster: &ClusterTag,
        base: &Directory,
    ) -> Result<Self, Error> {
        let not_ours = |what: &str| {
            Error::new(
                Kind::InUse,
                format!("slot {volume} on the RDS is backed by {path}, {what}; it is left alone"),
            )
        };
        let file = Self::read(path)
            .ok_or_else(|| not_ours("which does not carry the mark of this driver"))?;
        if &file.volume != volume {
            return Err(not_ours("which belongs to another volume"));
        }
        if &file.cluster != cluster {
            return Err(not_ours("which belongs to another cluster"));
        }
        if !file.directory.is_within(base) {
            return Err(not_ours(&format!("which lies outside {base}")));
        }
        Ok(file)
    }
}

impl fmt::Display for BackingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            directory,
            volume,
            cluster,
            parameters,
            nonce,
        } = self;
        let (cluster, parameters) = (cluster.as_str(), &parameters.0);
        write!(
            f,
            "{directory}/{volume}.{cluster}.{parameters}.{nonce:016x}.{SUFFIX}"
        )
    }
}

fn is_hex(raw: &str, length: usize) -> bool {
    raw.len() == length && raw.bytes().all(is_lower_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ClusterId;

    fn base() -> Directory {
        "/storage-pool/metal-csi".parse().unwrap()
    }

    fn file() -> BackingFile {
        BackingFile {
            directory: base(),
            volume: "csi-0123456789abcdef0123456789ab".parse().unwrap(),
            cluster: "c".parse::<ClusterId>().unwrap().tag(),
            parameters: ParametersDigest::from_hex("00112233445566"),
            nonce: 0xfeed,
        }
    }

    #[test]
    fn a_path_reads_back_as_it_was_written() {
        assert_eq!(BackingFile::read(&file().path()), Some(file()));
    }

    #[test]
    fn files_of_others_are_never_proved_ours() {
        let (file, path) = (file(), file().path());
        let other: VolumeId = "csi-ffffffffffffffffffffffffffff".parse().unwrap();
        let elsewhere = "c2".parse::<ClusterId>().unwrap().tag();
        let (base, sibling) = (base(), "/storage-pool/metal".parse::<Directory>().unwrap());
        let proved = |path: &str, volume, cluster, base| {
            BackingFile::prove(path, volume, cluster, base).is_ok()
        };
        assert!(proved(&path, &file.volume, &file.cluster, &base));
        assert!(!proved(&path, &other, &file.cluster, &base));
        assert!(!proved(&path, &file.volume, &elsewhere, &base));
        assert!(!proved(&path, &file.volume, &file.cluster, &sibling));
        for bad in [
            "/storage-pool/metal-csi/pvc-42f0d924-eb9f-4a5f-a323-112802392ace.img",
            &path.replace(".img", ".bak"),
            &format!("{path}.img"),
            &path.replace("feed", "feeg"),
            &path.replace("/storage-pool", "storage-pool"),
        ] {
            assert!(!proved(bad, &file.volume, &file.cluster, &base), "{bad}");
        }
    }

    #[test]
    fn directories_are_canonical_or_refused() {
        for bad in [
            "", "/", "a", "/a/", "/a//b", "/a/../b", "/a/./b", "/a b", "/a\"", "/a$b", "/é",
        ] {
            assert!(bad.parse::<Directory>().is_err(), "{bad:?}");
        }
        assert!(
            format!("/{}", "a".repeat(128))
                .parse::<Directory>()
                .is_err()
        );
        assert_eq!(base().pool(), "storage-pool");
        assert!(base().is_within(&base()));
        assert!(
            "/storage-pool/metal-csi/a"
                .parse::<Directory>()
                .unwrap()
                .is_within(&base())
        );
        assert!(
            !"/storage-pool/metal-csi-old"
                .parse::<Directory>()
                .unwrap()
                .is_within(&base())
        );
    }
}
