//! The register that each disk entry on the RDS is: free, prepared, granted, or not ours to touch.

use crate::domain::id::{ClusterTag, NodeId, VolumeId};
use crate::domain::leadership::Epoch;
use crate::domain::names::{self, Holder, Names, NodeLabel, Reading, Tail};

/// What the device can enforce, found at start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FencingMode {
    /// Both names can be changed and are compared at connect: the full promise.
    Pair,
    /// Subsystem names stay what they are. Two nodes are never let in, but a node must delete its
    /// old controllers before it connects again, or a queued write of an earlier grant may land.
    /// Grants that the RDS lost are not brought back here, nor in the next two modes.
    HostNqn,
    /// There is no allow-list: the unguessable subsystem name alone keeps others out.
    SubsystemNqn,
    /// Neither: the controller's memory is all there is.
    Controller,
}

impl FencingMode {
    /// The word in `status`, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::HostNqn => "host-nqn",
            Self::SubsystemNqn => "subsystem-nqn",
            Self::Controller => "controller",
        }
    }
}

/// How names are written and read for one cluster on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// What the device can enforce.
    pub mode: FencingMode,
    /// The cluster whose names are ours.
    pub cluster: ClusterTag,
}

/// Names under which exactly one node may connect, for one attachment only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// As they stand on the RDS.
    pub names: Names,
    /// The node they are for.
    pub node: NodeLabel,
    /// Since when, under which epoch.
    pub tail: Tail,
}

/// Why names are not ours to touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Another cluster's driver wrote them.
    OtherCluster,
    /// Any host may connect: as the Go driver exports, or edited by hand.
    Wildcard,
    /// Nothing that this driver writes: an unknown holder, never taken for free.
    Unreadable,
}

/// The state of a volume's disk entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Register {
    /// Not exported, with names that nobody was ever told.
    Free(Names),
    /// Not exported, with a pair: half-way through a grant or a revoke.
    Prepared(Pair),
    /// Exported, with a pair.
    Granted(Pair),
    /// Our names, but not a whole pair, or free names exported: nobody was told these; they are
    /// cut and freed before the next grant.
    Stray(Names),
    /// Not ours to touch.
    Foreign {
        /// As they stand on the RDS.
        names: Names,
        /// Whether somebody can connect at this moment.
        exported: bool,
        /// What they are taken for.
        why: Foreign,
    },
}

impl Scheme {
    /// A pair that nobody has seen yet, for `node`.
    pub fn fresh_pair(&self, slot: &VolumeId, node: &NodeId, fixed: &Names, tail: Tail) -> Pair {
        self.pair_for(slot, NodeLabel::of(node), fixed, tail)
    }

    /// A pair that nobody has seen yet, for all nodes that share a volume.
    pub fn shared_pair(&self, slot: &VolumeId, fixed: &Names, tail: Tail) -> Pair {
        self.pair_for(slot, NodeLabel::shared(), fixed, tail)
    }

    fn pair_for(&self, slot: &VolumeId, node: NodeLabel, fixed: &Names, tail: Tail) -> Pair {
        let names = self.write(slot, &Holder::Node(node.clone()), fixed, tail);
        Pair { names, node, tail }
    }

    /// Names for a volume that nobody may connect to.
    pub fn fresh_free(&self, slot: &VolumeId, fixed: &Names, tail: Tail) -> Names {
        self.write(slot, &Holder::Nobody, fixed, tail)
    }

    /// Names for a volume that does not exist yet.
    pub fn first_names(&self, slot: &VolumeId, tail: Tail) -> Names {
        let stem = Names {
            subsystem: Some(format!("{}{slot}", names::SUBSYSTEM_STEM)),
            host: Some(String::new()),
        };
        self.write(slot, &Holder::Nobody, &stem, tail)
    }

    /// `fixed` supplies the name that this mode cannot change.
    fn write(&self, slot: &VolumeId, holder: &Holder, fixed: &Names, tail: Tail) -> Names {
        match self.mode {
            FencingMode::Pair => Names {
                subsystem: Some(names::subsystem(slot, holder == &Holder::Nobody, tail)),
                host: Some(names::host(&self.cluster, holder, tail)),
            },
            FencingMode::HostNqn => Names {
                subsystem: fixed.subsystem.clone(),
                host: Some(names::host(&self.cluster, holder, tail)),
            },
            FencingMode::SubsystemNqn => Names {
                subsystem: Some(names::subsystem_alone(slot, &self.cluster, holder, tail)),
                host: None,
            },
            FencingMode::Controller => fixed.clone(),
        }
    }

    /// What the names and the export flag of a disk entry mean.
    pub fn read(&self, slot: &VolumeId, exported: bool, names: &Names) -> Register {
        let subsystem = names.subsystem.as_deref().unwrap_or_default();
        let host = names.host.as_deref().unwrap_or_default();
        let reading = match self.mode {
            FencingMode::Pair => join(
                names::read_subsystem(slot, subsystem),
                names::read_host(&self.cluster, host),
            ),
            FencingMode::HostNqn => names::read_host(&self.cluster, host),
            FencingMode::SubsystemNqn => {
                names::read_subsystem_alone(slot, &self.cluster, subsystem)
            }
            FencingMode::Controller => Reading::Unreadable,
        };
        let foreign = |why| Register::Foreign {
            names: names.clone(),
            exported,
            why,
        };
        match reading {
            Reading::Ours {
                holder: Some(Holder::Nobody),
                ..
            } if !exported => Register::Free(names.clone()),
            Reading::Ours {
                holder: Some(Holder::Node(node)),
                tail,
            } => {
                let pair = Pair {
                    names: names.clone(),
                    node,
                    tail,
                };
                if exported {
                    Register::Granted(pair)
                } else {
                    Register::Prepared(pair)
                }
            }
            Reading::Ours { .. } => Register::Stray(names.clone()),
            Reading::OtherCluster => foreign(Foreign::OtherCluster),
            Reading::Unreadable if exported && host.is_empty() => foreign(Foreign::Wildcard),
            Reading::Unreadable => foreign(Foreign::Unreadable),
        }
    }

    /// The highest epoch in `names`, so that a new term is above every one that left its mark.
    pub fn epoch_in(&self, slot: &VolumeId, names: &Names) -> Epoch {
        let epochs = self.tails(slot, names).map(|tail| tail.epoch);
        epochs.max().unwrap_or(Epoch::ZERO)
    }

    /// When `names` were written, in seconds since 1970 by the clock of a controller.
    pub fn written(&self, slot: &VolumeId, names: &Names) -> Option<u64> {
        self.tails(slot, names).map(|tail| tail.unix_seconds).max()
    }

    /// What makes each of `names` fresh, in whichever mode they were written.
    fn tails(&self, slot: &VolumeId, names: &Names) -> impl Iterator<Item = Tail> {
        let subsystem = names.subsystem.as_deref().unwrap_or_default();
        let host = names.host.as_deref().unwrap_or_default();
        [
            names::read_subsystem(slot, subsystem),
            names::read_subsystem_alone(slot, &self.cluster, subsystem),
            names::read_host(&self.cluster, host),
        ]
        .into_iter()
        .filter_map(|reading| match reading {
            Reading::Ours { tail, .. } => Some(tail),
            Reading::OtherCluster | Reading::Unreadable => None,
        })
    }
}

/// The meaning of a subsystem name and a host name together: whole only if one hand wrote both.
fn join(subsystem: Reading, host: Reading) -> Reading {
    match (subsystem, host) {
        (_, Reading::OtherCluster) => Reading::OtherCluster,
        (
            Reading::Ours {
                holder: by_subsystem,
                tail: left,
            },
            Reading::Ours {
                holder: Some(by_host),
                tail: right,
            },
        ) => {
            let whole = left == right && (by_subsystem.is_some()) == (by_host == Holder::Nobody);
            // A mix of two writings names nobody: `holder: None` makes it a stray.
            Reading::Ours {
                holder: whole.then_some(by_host),
                tail: right,
            }
        }
        (Reading::Ours { .. } | Reading::OtherCluster | Reading::Unreadable, _) => {
            Reading::Unreadable
        }
    }
}

impl Register {
    /// The pair, if one is written (exported or not).
    pub fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Prepared(pair) | Self::Granted(pair) => Some(pair),
            Self::Free(_) | Self::Stray(_) | Self::Foreign { .. } => None,
        }
    }

    /// The names as they stand on the RDS.
    pub fn names(&self) -> &Names {
        match self {
            Self::Free(names) | Self::Stray(names) | Self::Foreign { names, .. } => names,
            Self::Prepared(pair) | Self::Granted(pair) => &pair.names,
        }
    }

    /// The word in spans and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Free(_) => "free",
            Self::Prepared(_) => "prepared",
            Self::Granted(_) => "granted",
            Self::Stray(_) => "stray",
            Self::Foreign { .. } => "foreign",
        }
    }

    /// The node that may be using the volume, as far as the names tell.
    pub fn holder(&self) -> Option<&NodeLabel> {
        self.pair().map(|pair| &pair.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ClusterId;

    fn scheme(mode: FencingMode) -> Scheme {
        Scheme {
            mode,
            cluster: "c".parse::<ClusterId>().unwrap().tag(),
        }
    }

    fn slot() -> VolumeId {
        "csi-0123456789abcdef0123456789ab".parse().unwrap()
    }

    fn tail(random: u64) -> Tail {
        Tail {
            epoch: Epoch::from_record(3),
            unix_seconds: 1_800_000_000,
            random,
        }
    }

    fn pair(scheme: &Scheme, random: u64) -> Pair {
        let fixed = scheme.first_names(&slot(), tail(0));
        scheme.fresh_pair(&slot(), &"n1".parse().unwrap(), &fixed, tail(random))
    }

    const FENCED: [FencingMode; 3] = [
        FencingMode::Pair,
        FencingMode::HostNqn,
        FencingMode::SubsystemNqn,
    ];

    #[test]
    fn what_is_written_reads_back_in_every_mode_that_fences() {
        for scheme in FENCED.map(scheme) {
            let free = scheme.first_names(&slot(), tail(1));
            assert_eq!(
                scheme.read(&slot(), false, &free),
                Register::Free(free.clone())
            );
            assert_eq!(
                scheme.read(&slot(), true, &free),
                Register::Stray(free.clone())
            );
            let pair = pair(&scheme, 2);
            let read = |exported| scheme.read(&slot(), exported, &pair.names);
            assert_eq!(read(true), Register::Granted(pair.clone()));
            assert_eq!(read(false), Register::Prepared(pair.clone()));
            assert_eq!(scheme.epoch_in(&slot(), &pair.names), Epoch::from_record(3));
        }
    }

    #[test]
    fn every_grant_changes_each_name_that_the_mode_can_change() {
        for scheme in FENCED.map(scheme) {
            let (one, two) = (pair(&scheme, 1), pair(&scheme, 2));
            assert_ne!(one.names, two.names);
            let same_subsystem = one.names.subsystem == two.names.subsystem;
            assert_eq!(same_subsystem, scheme.mode == FencingMode::HostNqn);
        }
    }

    #[test]
    fn halves_of_two_pairs_are_a_stray_and_never_a_grant() {
        let scheme = scheme(FencingMode::Pair);
        let (one, two) = (pair(&scheme, 1).names, pair(&scheme, 2).names);
        let free = scheme.first_names(&slot(), tail(1));
        for (subsystem, host) in [(&one, &two), (&one, &free), (&free, &one)] {
            let mixed = Names {
                subsystem: subsystem.subsystem.clone(),
                host: host.host.clone(),
            };
            for exported in [true, false] {
                let read = scheme.read(&slot(), exported, &mixed);
                assert_eq!(read, Register::Stray(mixed.clone()), "{mixed:?}");
            }
        }
    }

    #[test]
    fn names_that_are_not_ours_are_never_free() {
        let other = Scheme {
            mode: FencingMode::Pair,
            cluster: "other".parse::<ClusterId>().unwrap().tag(),
        };
        let scheme = scheme(FencingMode::Pair);
        let of_other = other.first_names(&slot(), tail(1));
        let names = |subsystem: &str, host: &str| Names {
            subsystem: Some(subsystem.to_owned()),
            host: Some(host.to_owned()),
        };
        let rows = [
            (of_other, Foreign::OtherCluster, Foreign::OtherCluster),
            (
                names("nqn.2000-02.com.mikrotik:x", ""),
                Foreign::Unreadable,
                Foreign::Wildcard,
            ),
            (
                names("x", "nqn.2014-08.org:uuid:1"),
                Foreign::Unreadable,
                Foreign::Unreadable,
            ),
            (names("", ""), Foreign::Unreadable, Foreign::Wildcard),
        ];
        for (names, quiet, loud) in rows {
            for (exported, expected) in [(false, quiet), (true, loud)] {
                let Register::Foreign { why, .. } = scheme.read(&slot(), exported, &names) else {
                    panic!("{names:?} must be foreign");
                };
                assert_eq!(why, expected, "{names:?} exported={exported}");
            }
        }
    }
}
