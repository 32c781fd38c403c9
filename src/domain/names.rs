//! The two names of an export, as they are written on the RDS: who holds what, since when, under
//! which epoch, readable in a plain `/disk print`.
//!
//! A grant is a *fresh pair* of names. Fresh host name: a change of the allow-list leaves live
//! sessions writing. Fresh subsystem name: a write queued on a fenced node is flushed through its
//! next connection to the same subsystem, over the data of whoever came between (both seen on
//! Linux 6.1 and 6.12).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::domain::id::{ClusterTag, NodeId, VolumeId, hex};
use crate::domain::leadership::Epoch;

/// Subsystem names begin with this, then the slot: what the Go driver used, so that tools and
/// filters of its users keep working.
pub const SUBSYSTEM_STEM: &str = "nqn.2000-02.com.mikrotik:";
/// Host names of this driver begin with this, then the cluster tag.
pub const HOST_STEM: &str = "nqn.2026-11.io.srvlab.csi.rds:";
/// Where a holder's name would stand, a free volume has this word.
const FREE: &str = "free";
/// Where a holder's name would stand, a volume that several nodes share has this word.
const SHARED: &str = "shared";
/// A node name up to this long is written as it is: stem 30 + tag 9 + node 80 + tail 49 = 168, well
/// under the 223 bytes an NQN may have.
const LABEL_MAX: usize = 80;
/// Digits of the hash that replaces the rest of a longer node name.
const LABEL_HASH: usize = 12;
const RANDOM_DIGITS: usize = 16;

/// The two names of a disk entry, exactly as they stand there. `None` is a property that the
/// device (or the fencing mode) does not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    /// `nvme-tcp-server-nqn`.
    pub subsystem: Option<String>,
    /// `nvme-tcp-server-allow-host-name`; empty lets any host in.
    pub host: Option<String>,
}

/// What makes a name fresh: epoch, second of issue, and 64 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tail {
    /// The term under which the name was made.
    pub epoch: Epoch,
    /// When, in seconds since 1970, by the clock of the controller: for people, never compared.
    pub unix_seconds: u64,
    /// Makes two names of one second differ.
    pub random: u64,
}

/// A node as it is written in a name: its id, or for a long id (and one that reads `free` or
/// `shared`) a prefix and a hash. Or all nodes that share a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeLabel(String);

/// What a name says about its volume's holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: the name was made for a free volume.
    Nobody,
    /// This node.
    Node(NodeLabel),
}

/// A name of ours, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Made by this driver for this cluster.
    Ours {
        /// Who may connect by it; `None` where the name does not say (a subsystem name of a grant).
        holder: Option<Holder>,
        /// What makes it fresh.
        tail: Tail,
    },
    /// Made by this driver for another cluster.
    OtherCluster,
    /// Anything else.
    Unreadable,
}

// === impl Tail ===

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}-{:016x}",
            self.epoch.digits(),
            self.unix_seconds,
            self.random
        )
    }
}

impl FromStr for Tail {
    type Err = ();

    fn from_str(raw: &str) -> Result<Self, ()> {
        let mut parts = raw.splitn(3, '-');
        let (Some(epoch), Some(seconds), Some(random)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let tail = Self {
            epoch: Epoch::from_record(epoch.parse().map_err(drop)?),
            unix_seconds: seconds.parse().map_err(drop)?,
            random: u64::from_str_radix(random, 16).map_err(drop)?,
        };
        // Only the one spelling that we write ourselves counts: `+1`, `01` or a short random part
        // come from somebody else.
        if random.len() == RANDOM_DIGITS && tail.to_string() == raw {
            Ok(tail)
        } else {
            Err(())
        }
    }
}

// === impl NodeLabel ===

impl NodeLabel {
    /// How `node` is written.
    pub fn of(node: &NodeId) -> Self {
        let id = node.as_str();
        if id.len() <= LABEL_MAX && id != FREE && id != SHARED {
            return Self(id.to_owned());
        }
        let kept: String = id.chars().take(LABEL_MAX - LABEL_HASH - 1).collect();
        let hash: String = hex(&Sha256::digest(id.as_bytes()))
            .chars()
            .take(LABEL_HASH)
            .collect();
        Self(format!("{kept}.{hash}"))
    }

    /// What stands for the holders of a shared volume: who they are, VolumeAttachments say.
    pub fn shared() -> Self {
        Self(SHARED.to_owned())
    }

    /// Whether it stands for all that share a volume.
    pub fn is_shared(&self) -> bool {
        self.0 == SHARED
    }

    /// The text in names.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === writing ===

/// The subsystem name of a grant (holder `None`) or of a free volume.
pub fn subsystem(slot: &VolumeId, free: bool, tail: Tail) -> String {
    let word = if free { "free:" } else { "" };
    format!("{SUBSYSTEM_STEM}{slot}:{word}{tail}")
}

/// The host name of a grant to a node, or of a free volume.
pub fn host(cluster: &ClusterTag, holder: &Holder, tail: Tail) -> String {
    format!("{HOST_STEM}{}:{}:{tail}", cluster.as_str(), holder.word())
}

/// The subsystem name where the device has no host names: it must carry the holder itself.
pub fn subsystem_alone(
    slot: &VolumeId,
    cluster: &ClusterTag,
    holder: &Holder,
    tail: Tail,
) -> String {
    format!(
        "{SUBSYSTEM_STEM}{slot}:{}:{}:{tail}",
        cluster.as_str(),
        holder.word()
    )
}

impl Holder {
    fn word(&self) -> &str {
        match self {
            Self::Nobody => FREE,
            Self::Node(label) => label.as_str(),
        }
    }

    fn read(word: &str) -> Option<Self> {
        match word {
            FREE => Some(Self::Nobody),
            "" => None,
            node => Some(Self::Node(NodeLabel(node.to_owned()))),
        }
    }
}

// === reading ===

/// Takes a subsystem name of `slot` apart.
pub fn read_subsystem(slot: &VolumeId, name: &str) -> Reading {
    let Some(rest) = name
        .strip_prefix(SUBSYSTEM_STEM)
        .and_then(|rest| rest.strip_prefix(slot.as_str()))
        .and_then(|rest| rest.strip_prefix(':'))
    else {
        return Reading::Unreadable;
    };
    let (holder, tail) = match rest.split_once(':') {
        None => (None, rest),
        Some((FREE, tail)) => (Some(Holder::Nobody), tail),
        Some(_) => return Reading::Unreadable,
    };
    tail.parse()
        .map_or(Reading::Unreadable, |tail| Reading::Ours { holder, tail })
}

/// Takes a host name apart.
pub fn read_host(cluster: &ClusterTag, name: &str) -> Reading {
    name.strip_prefix(HOST_STEM)
        .map_or(Reading::Unreadable, |rest| read_marked(cluster, rest))
}

/// Takes a subsystem name that carries its holder apart.
pub fn read_subsystem_alone(slot: &VolumeId, cluster: &ClusterTag, name: &str) -> Reading {
    name.strip_prefix(SUBSYSTEM_STEM)
        .and_then(|rest| rest.strip_prefix(slot.as_str()))
        .and_then(|rest| rest.strip_prefix(':'))
        .map_or(Reading::Unreadable, |rest| read_marked(cluster, rest))
}

/// `<cluster>:<holder>:<tail>`.
fn read_marked(cluster: &ClusterTag, rest: &str) -> Reading {
    let mut parts = rest.splitn(3, ':');
    let (Some(tag), Some(word), Some(tail)) = (parts.next(), parts.next(), parts.next()) else {
        return Reading::Unreadable;
    };
    let (Ok(tag), Some(holder), Ok(tail)) =
        (tag.parse::<ClusterTag>(), Holder::read(word), tail.parse())
    else {
        return Reading::Unreadable;
    };
    if &tag == cluster {
        Reading::Ours {
            holder: Some(holder),
            tail,
        }
    } else {
        Reading::OtherCluster
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ClusterId;

    fn slot() -> VolumeId {
        "csi-0123456789abcdef0123456789ab".parse().unwrap()
    }

    fn tag(name: &str) -> ClusterTag {
        name.parse::<ClusterId>().unwrap().tag()
    }

    fn node(id: &str) -> Holder {
        Holder::Node(NodeLabel::of(&id.parse().unwrap()))
    }

    const TAIL: Tail = Tail {
        epoch: Epoch::from_record(7),
        unix_seconds: 1_800_000_000,
        random: 0xab,
    };

    #[test]
    fn names_read_back_as_they_were_written() {
        let long = "n".repeat(253);
        for holder in [Holder::Nobody, node("worker-1"), node("free"), node(&long)] {
            let ours = Reading::Ours {
                holder: Some(holder.clone()),
                tail: TAIL,
            };
            let name = host(&tag("c"), &holder, TAIL);
            assert!(name.len() <= 223, "{name}");
            assert_eq!(read_host(&tag("c"), &name), ours, "{name}");
            let name = subsystem_alone(&slot(), &tag("c"), &holder, TAIL);
            assert!(name.len() <= 223, "{name}");
            assert_eq!(
                read_subsystem_alone(&slot(), &tag("c"), &name),
                ours,
                "{name}"
            );
        }
        let granted = Reading::Ours {
            holder: None,
            tail: TAIL,
        };
        assert_eq!(
            read_subsystem(&slot(), &subsystem(&slot(), false, TAIL)),
            granted
        );
        let free = Reading::Ours {
            holder: Some(Holder::Nobody),
            tail: TAIL,
        };
        assert_eq!(
            read_subsystem(&slot(), &subsystem(&slot(), true, TAIL)),
            free
        );
    }

    #[test]
    fn a_node_called_free_or_a_long_name_never_reads_as_free_or_as_another_node() {
        let long = |last: char| format!("{}{last}", "n".repeat(100));
        assert_ne!(node("free"), Holder::Nobody);
        assert_ne!(NodeLabel::of(&"free".parse().unwrap()).as_str(), "free");
        assert_ne!(node(&long('a')), node(&long('b')));
        assert_eq!(
            NodeLabel::of(&long('a').parse().unwrap()).as_str().len(),
            LABEL_MAX
        );
    }

    #[test]
    fn names_of_others_are_never_read_as_ours() {
        let others = host(&tag("other"), &node("a"), TAIL);
        assert_eq!(read_host(&tag("c"), &others), Reading::OtherCluster);
        let good = host(&tag("c"), &node("a"), TAIL);
        for name in [
            "",
            "nqn.2014-08.org.nvmexpress:uuid:1",
            good.trim_end_matches('b'),
            &format!("{good}0"),
            &good.replace(":a:", "::"),
            &good.replace(":7-", ":07-"),
            &good.replace(":7-", ":+7-"),
        ] {
            assert_eq!(read_host(&tag("c"), name), Reading::Unreadable, "{name:?}");
        }
        for name in [
            "",
            "nqn.2000-02.com.mikrotik:pvc-1",
            "nqn.2000-02.com.mikrotik:csi-0:7-1-0",
        ] {
            assert_eq!(
                read_subsystem(&slot(), name),
                Reading::Unreadable,
                "{name:?}"
            );
        }
    }
}
