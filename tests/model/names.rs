//! Small stand-ins for names, and what the driver's own code says about each combination of them.
//!
//! The search never asks a table written for it: every answer is made by `Scheme::read`, `publish`
//! and `unpublish` over real names, once for each shape of register.

use rds_csi::domain::grant::{FencingMode, Register as RealRegister, Scheme};
use rds_csi::domain::id::{ClusterId, NodeId, VolumeId};
use rds_csi::domain::leadership::Epoch;
use rds_csi::domain::names::{Names, NodeLabel, Tail};
use rds_csi::domain::publish::{self, Publish, Unpublish};

/// One of two nodes, 0 or 1.
pub(crate) type Node = usize;

pub(crate) const NODES: [Node; 2] = [0, 1];
const NODE_IDS: [&str; 2] = ["a", "b"];

/// A writing of names: for whom (two bits), and a serial that no other writing has (six bits). The
/// subsystem name and the host name of one writing are the same `Name`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Name(u8);

/// Serials that six bits hold.
pub(crate) const SERIALS: usize = 64;

/// The three values of a disk entry that a command can compare and set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Register {
    pub(crate) subsystem: Name,
    pub(crate) host: Name,
    pub(crate) exported: bool,
}

/// What the driver takes a register for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    Free,
    Prepared(Node),
    Granted(Node),
    Stray,
}

/// What the driver decides for a publish; the names it decides about are those of the register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnPublish {
    Grant,
    AsItStands,
    Reopen,
    RevokeFirst,
    HeldBy(Node),
}

/// What the driver decides for an unpublish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnUnpublish {
    Nothing,
    Revoke,
}

/// The driver's answers for one shape of register.
#[derive(Clone, Copy)]
struct Answers {
    reading: Reading,
    /// By node, then by whether it was told.
    publish: [[OnPublish; 2]; 2],
    unpublish: [OnUnpublish; 2],
}

/// The driver's answers for every shape.
#[derive(Clone)]
pub(crate) struct Decisions {
    /// Ablation: free names count as free even while exported.
    by_names: bool,
    shapes: Vec<Answers>,
}

// === impl Name ===

impl Name {
    /// What the entry is created with.
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) fn free(serial: usize) -> Self {
        Self::of(0, serial)
    }

    pub(crate) fn pair(node: Node, serial: usize) -> Self {
        Self::of(node + 1, serial)
    }

    fn of(owner: usize, serial: usize) -> Self {
        assert!(serial < SERIALS, "more names at once than six bits hold");
        Self(u8::try_from(owner * SERIALS + serial).unwrap())
    }

    fn owner(self) -> usize {
        usize::from(self.0) / SERIALS
    }

    pub(crate) fn serial(self) -> usize {
        usize::from(self.0) % SERIALS
    }

    pub(crate) fn with_serial(self, serial: usize) -> Self {
        Self::of(self.owner(), serial)
    }

    pub(crate) fn byte(self) -> u8 {
        self.0
    }
}

impl Register {
    /// What the entry is created with.
    pub(crate) const FIRST: Self = Self {
        subsystem: Name::FIRST,
        host: Name::FIRST,
        exported: false,
    };
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let owner = ["free", "A", "B"][self.owner()];
        write!(f, "{owner}{}", self.serial())
    }
}

impl std::fmt::Display for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let export = if self.exported { "on" } else { "off" };
        write!(f, "({}, {}, {export})", self.subsystem, self.host)
    }
}

// === impl Decisions ===

impl Decisions {
    /// Asks the driver's code about every shape of register in a fencing mode.
    pub(crate) fn of(mode: FencingMode, by_names: bool) -> Self {
        let real = Real::new(mode);
        let mut shapes = Vec::new();
        for subsystem in 0..3 {
            for host in 0..3 {
                for whole in [false, true] {
                    for exported in [false, true] {
                        let register = Register {
                            subsystem: Name::of(subsystem, 1),
                            host: Name::of(host, if whole { 1 } else { 2 }),
                            exported,
                        };
                        shapes.push(real.answers(register));
                    }
                }
            }
        }
        Self { by_names, shapes }
    }

    pub(crate) fn read(&self, register: Register) -> Reading {
        self.answers(register).reading
    }

    pub(crate) fn publish(&self, register: Register, node: Node, told: bool) -> OnPublish {
        self.answers(register).publish[node][usize::from(told)]
    }

    pub(crate) fn unpublish(&self, register: Register, node: Node) -> OnUnpublish {
        self.answers(register).unpublish[node]
    }

    fn answers(&self, register: Register) -> &Answers {
        let owners = register.subsystem.owner() * 3 + register.host.owner();
        let whole = usize::from(register.subsystem.serial() == register.host.serial());
        let exported = register.exported && !(self.by_names && owners == 0);
        &self.shapes[(owners * 2 + whole) * 2 + usize::from(exported)]
    }
}

/// Real names for small ones.
struct Real {
    scheme: Scheme,
    slot: VolumeId,
}

impl Real {
    fn new(mode: FencingMode) -> Self {
        Self {
            scheme: Scheme {
                mode,
                cluster: "model".parse::<ClusterId>().unwrap().tag(),
            },
            slot: "csi-0123456789abcdef0123456789ab".parse().unwrap(),
        }
    }

    fn node(node: Node) -> NodeId {
        NODE_IDS[node].parse().unwrap()
    }

    fn names(&self, name: Name) -> Names {
        let tail = |serial| Tail {
            epoch: Epoch::from_record(1),
            unix_seconds: 1_800_000_000,
            random: u64::try_from(serial).unwrap(),
        };
        let first = self.scheme.first_names(&self.slot, tail(0));
        match name.owner() {
            0 => self
                .scheme
                .fresh_free(&self.slot, &first, tail(name.serial())),
            owner => {
                let node = Self::node(owner - 1);
                let pair = self
                    .scheme
                    .fresh_pair(&self.slot, &node, &first, tail(name.serial()));
                pair.names
            }
        }
    }

    fn answers(&self, register: Register) -> Answers {
        let names = Names {
            subsystem: self.names(register.subsystem).subsystem,
            host: self.names(register.host).host,
        };
        let real = self.scheme.read(&self.slot, register.exported, &names);
        assert_eq!(real.names(), &names, "a reading keeps the names it read");
        let label = |node| NodeLabel::of(&Self::node(node));
        let holder = |of: &NodeLabel| NODES.into_iter().find(|node| &label(*node) == of).unwrap();
        let on_publish = |node, told| match publish::publish(&real, &label(node), told) {
            Publish::Grant(of) => (OnPublish::Grant, of),
            Publish::AsItStands(pair) => (OnPublish::AsItStands, pair.names),
            Publish::Reopen(pair) => (OnPublish::Reopen, pair.names),
            Publish::RevokeFirst(of) => (OnPublish::RevokeFirst, of),
            Publish::HeldBy(pair) => (OnPublish::HeldBy(holder(&pair.node)), pair.names),
            Publish::Untouchable(why) => panic!("names of ours were read as {why:?}: {names:?}"),
        };
        let on_publish = |node, told| {
            let (decided, of) = on_publish(node, told);
            assert_eq!(of, names, "a decision is about the names that were read");
            decided
        };
        let on_unpublish = |node| match publish::unpublish(&real, Some(&label(node))) {
            Unpublish::Nothing => OnUnpublish::Nothing,
            Unpublish::Revoke(of) => {
                assert_eq!(of, names, "a decision is about the names that were read");
                OnUnpublish::Revoke
            }
            Unpublish::LeaveShare(pair) => panic!("nothing is shared here: {pair:?}"),
            Unpublish::Unprovable(why) => panic!("names of ours were read as {why:?}: {names:?}"),
        };
        Answers {
            reading: match &real {
                RealRegister::Free(_) => Reading::Free,
                RealRegister::Prepared(pair) => Reading::Prepared(holder(&pair.node)),
                RealRegister::Granted(pair) => Reading::Granted(holder(&pair.node)),
                RealRegister::Stray(_) => Reading::Stray,
                RealRegister::Foreign { why, .. } => {
                    panic!("names of ours were read as {why:?}: {names:?}")
                }
            },
            publish: NODES.map(|node| [false, true].map(|told| on_publish(node, told))),
            unpublish: NODES.map(on_unpublish),
        }
    }
}
