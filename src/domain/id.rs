//! Identifiers, parsed once at the edge and valid for ever after.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::domain::error::Error;

/// Slots of RouterOS 7.24 hold at most 32 characters; `csi-` + 28 hex digits is exactly that.
const DERIVED_DIGITS: usize = 28;
const DERIVED_PREFIX: &str = "csi-";
/// Volumes of the Go driver: `pvc-<uuid>`, 40 characters, made before slots were limited.
const LEGACY_PREFIX: &str = "pvc-";
const UUID_LENGTH: usize = 36;
/// CSI section "Size limits": 128 bytes for names and ids.
pub const MAX_NAME: usize = 128;
/// CSI allows 256 bytes for a node id; Kubernetes node names are at most 253 characters.
pub const MAX_NODE_ID: usize = 253;

/// The id of a volume of ours, which is also its slot on the RDS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId(String);

/// The id of a machine that can attach volumes, as its node plugin reports it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(String);

/// The cluster whose volumes these are: several may share one RDS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterId(String);

/// Eight hex digits that stand for a cluster in names on the RDS.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClusterTag(String);

// === impl VolumeId ===

impl VolumeId {
    /// The id that the volume called `name` has in `cluster`: the same for every retry, so that
    /// CreateVolume is idempotent without a record of its own.
    pub fn derive(cluster: &ClusterId, name: &str) -> Self {
        let digest = hex(&Sha256::new_with_prefix(cluster.0.as_bytes())
            .chain_update([0])
            .chain_update(name.as_bytes())
            .finalize());
        let digits: String = digest.chars().take(DERIVED_DIGITS).collect();
        Self(format!("{DERIVED_PREFIX}{digits}"))
    }

    /// Reads an id of a request. `None` is an id that is well formed but never ours: such a volume
    /// does not exist, which several RPCs must answer with success.
    ///
    /// # Errors
    /// `Invalid` for an empty id, one over 128 bytes, or one with characters that no id of any
    /// driver on an RDS can have (quotes, `$`, `[`, `;`, control characters, non-ASCII ...).
    pub fn from_request(raw: &str) -> Result<Option<Self>, Error> {
        check_name("volume_id", raw, MAX_NAME)?;
        if !raw
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        {
            return Err(Error::invalid(
                "volume_id has characters outside A-Z a-z 0-9 . _ -; no volume of this driver is called so",
            ));
        }
        Ok(raw.parse().ok())
    }

    /// The id as text: slot on the RDS, volume handle in Kubernetes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Made by the Go driver, whose volumes are exported to anyone and carry no mark of their
    /// cluster.
    pub fn is_legacy(&self) -> bool {
        self.0.starts_with(LEGACY_PREFIX)
    }
}

/// A text that is not the id of a volume of this driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a volume id of this driver: csi-<28 hex digits> or pvc-<uuid>")]
pub struct NotOurs;

impl FromStr for VolumeId {
    type Err = NotOurs;

    fn from_str(raw: &str) -> Result<Self, NotOurs> {
        let derived = raw.strip_prefix(DERIVED_PREFIX).is_some_and(|digits| {
            digits.len() == DERIVED_DIGITS && digits.bytes().all(is_lower_hex)
        });
        let legacy = raw.strip_prefix(LEGACY_PREFIX).is_some_and(is_uuid);
        if derived || legacy {
            Ok(Self(raw.to_owned()))
        } else {
            Err(NotOurs)
        }
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl NodeId ===

impl NodeId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = Error;

    /// Node ids become part of NQNs on the RDS, hence the small alphabet: letters, digits, `.`,
    /// `_`, `-`, the first one a letter or digit, at most 253 bytes.
    fn from_str(raw: &str) -> Result<Self, Error> {
        check_name("node_id", raw, MAX_NODE_ID)?;
        let body = raw
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !body || !raw.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Error::invalid(
                "node_id must consist of A-Z a-z 0-9 . _ - and begin with a letter or digit",
            ));
        }
        Ok(Self(raw.to_owned()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ClusterId ===

impl ClusterId {
    /// The mark of this cluster in names on the RDS.
    pub fn tag(&self) -> ClusterTag {
        ClusterTag(
            hex(&Sha256::digest(self.0.as_bytes()))
                .chars()
                .take(ClusterTag::LENGTH)
                .collect(),
        )
    }
}

impl FromStr for ClusterId {
    type Err = Error;

    fn from_str(raw: &str) -> Result<Self, Error> {
        check_name("cluster id", raw, MAX_NAME)?;
        Ok(Self(raw.to_owned()))
    }
}

// === impl ClusterTag ===

impl ClusterTag {
    /// Eight digits: with a handful of clusters on one RDS a collision is a matter of one in a
    /// hundred million.
    pub const LENGTH: usize = 8;

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterTag {
    type Err = NotOurs;

    fn from_str(raw: &str) -> Result<Self, NotOurs> {
        if raw.len() == Self::LENGTH && raw.bytes().all(is_lower_hex) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(NotOurs)
        }
    }
}

impl fmt::Debug for ClusterTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a name of a request before anything else looks at it.
///
/// # Errors
/// `Invalid`, naming `field`, if it is empty, longer than `max` bytes or has control characters.
pub fn check_name(field: &str, raw: &str, max: usize) -> Result<(), Error> {
    if raw.is_empty() {
        return Err(Error::invalid(format!("{field} is missing")));
    }
    if raw.len() > max {
        return Err(Error::invalid(format!(
            "{field} has {} bytes, more than {max}",
            raw.len()
        )));
    }
    if raw.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "{field} contains control characters"
        )));
    }
    Ok(())
}

/// Lower-case hex digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            for nibble in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(u32::from(nibble), 16));
            }
            text
        })
}

pub(crate) fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_uuid(raw: &str) -> bool {
    raw.len() == UUID_LENGTH
        && raw.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => is_lower_hex(byte),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Kind;

    const LEGACY: &str = "pvc-42f0d924-eb9f-4a5f-a323-112802392ace";

    fn cluster(name: &str) -> ClusterId {
        name.parse().unwrap()
    }

    #[test]
    fn derived_ids_fill_a_slot_of_32_characters_and_read_back() {
        let id = VolumeId::derive(&cluster("a"), "pvc-1");
        assert_eq!(id.as_str().len(), 32);
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn two_clusters_or_two_names_never_share_an_id() {
        let ids = [("a", "b1"), ("ab", "1"), ("a", "b2"), ("b", "b1")]
            .map(|(c, name)| VolumeId::derive(&cluster(c), name));
        for (at, id) in ids.iter().enumerate() {
            assert!(ids.iter().skip(at + 1).all(|other| other != id), "{ids:?}");
        }
    }

    #[test]
    fn ids_of_requests_are_ours_absent_or_refused() {
        let ours = format!("csi-{}", "0123456789abcdef0123456789ab");
        let rows: &[(&str, Result<bool, Kind>)] = &[
            (&ours, Ok(true)),
            (LEGACY, Ok(true)),
            ("reallyfakevolumeid", Ok(false)),
            ("storage-pool", Ok(false)),
            ("csi-0123", Ok(false)),
            ("csi-0123456789ABCDEF0123456789ab", Ok(false)),
            ("pvc-1", Ok(false)),
            ("", Err(Kind::Invalid)),
            ("a\"b", Err(Kind::Invalid)),
            ("$x", Err(Kind::Invalid)),
            ("[find]", Err(Kind::Invalid)),
            ("a;b", Err(Kind::Invalid)),
            ("a\nb", Err(Kind::Invalid)),
            ("a\0b", Err(Kind::Invalid)),
            ("größe", Err(Kind::Invalid)),
            (&"x".repeat(129), Err(Kind::Invalid)),
        ];
        for (raw, expected) in rows {
            let got = VolumeId::from_request(raw)
                .map(|id| id.is_some())
                .map_err(|e| e.kind());
            assert_eq!(&got, expected, "{raw:?}");
        }
    }

    #[test]
    fn node_ids_that_could_break_a_name_are_refused() {
        let long = "n".repeat(253);
        for good in [
            "a",
            "node-1",
            "ip-10-0-0-1.eu.internal",
            "A_b",
            long.as_str(),
        ] {
            assert_eq!(good.parse::<NodeId>().unwrap().as_str(), good);
        }
        let too_long = "n".repeat(254);
        for bad in [
            "", "-a", ".a", "a:b", "a b", "a\"", "a$", "a[", "a;", "a\n", "a\0", "ü", &too_long,
        ] {
            assert_eq!(
                bad.parse::<NodeId>().unwrap_err().kind(),
                Kind::Invalid,
                "{bad:?}"
            );
        }
    }
}
