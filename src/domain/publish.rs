//! Who may connect next: decisions over what was read, one table for publish and one for unpublish.

use crate::domain::grant::{Foreign, Pair, Register};
use crate::domain::names::{Names, NodeLabel};

/// What to do for ControllerPublishVolume of a volume to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// Write a fresh pair over these free names.
    Grant(Names),
    /// The node holds it under a pair it was told: answer with that pair.
    AsItStands(Pair),
    /// The node's own pair, but nobody can say that it was told it, or it is closed: cut and open
    /// it again, which ends what a late command may have let in, and answer with it.
    Reopen(Pair),
    /// Names that no node was told: cut and free them, read again, decide again.
    RevokeFirst(Names),
    /// Another node holds it.
    HeldBy(Pair),
    /// Names that are not ours.
    Untouchable(Foreign),
}

/// What to do for ControllerUnpublishVolume of a volume from a node (or from all).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpublish {
    /// The node has nothing: done.
    Nothing,
    /// Cut and free these names; done when the entry reads back free.
    Revoke(Names),
    /// The node is one of those that share this pair: it goes when the last of them has left.
    LeaveShare(Pair),
    /// Exported under names that nobody can resolve: whether the node is out cannot be proved.
    Unprovable(Foreign),
}

impl Publish {
    /// The word in spans and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Grant(_) => "grant",
            Self::AsItStands(_) => "as-it-stands",
            Self::Reopen(_) => "reopen",
            Self::RevokeFirst(_) => "revoke-first",
            Self::HeldBy(_) => "held-by-other",
            Self::Untouchable(_) => "untouchable",
        }
    }
}

impl Unpublish {
    /// The word in spans and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Revoke(_) => "revoke",
            Self::LeaveShare(_) => "leave-share",
            Self::Unprovable(_) => "unprovable",
        }
    }
}

/// Decides a publish.
///
/// `told` says that `node` has been told the pair in the register: it was answered in this term, or
/// it stood there when the term began and has been left alone since for the settling time.
pub fn publish(register: &Register, node: &NodeLabel, told: bool) -> Publish {
    match register {
        Register::Free(names) => Publish::Grant(names.clone()),
        Register::Granted(pair) if &pair.node == node && told => Publish::AsItStands(pair.clone()),
        Register::Granted(pair) if &pair.node == node => Publish::Reopen(pair.clone()),
        // Closed, but the node may have staged under it: it must come back under the same names.
        Register::Prepared(pair) if &pair.node == node && told => Publish::Reopen(pair.clone()),
        // Half-way, and never answered: its fresh names would be as good, but an older line that
        // is still on its way may know these.
        Register::Prepared(pair) if &pair.node == node => Publish::RevokeFirst(pair.names.clone()),
        Register::Granted(pair) | Register::Prepared(pair) => Publish::HeldBy(pair.clone()),
        Register::Stray(names) => Publish::RevokeFirst(names.clone()),
        Register::Foreign { why, .. } => Publish::Untouchable(*why),
    }
}

/// Decides an unpublish; `node` is `None` for "from every node" (CSI: `node_id` left empty).
pub fn unpublish(register: &Register, node: Option<&NodeLabel>) -> Unpublish {
    match register {
        Register::Granted(pair) | Register::Prepared(pair) => match node {
            Some(_) if pair.node.is_shared() => Unpublish::LeaveShare(pair.clone()),
            Some(node) if node != &pair.node => Unpublish::Nothing,
            Some(_) | None => Unpublish::Revoke(pair.names.clone()),
        },
        Register::Stray(names) => Unpublish::Revoke(names.clone()),
        // Free, another cluster's business, or closed to everybody: nobody is let in by it.
        Register::Free(_)
        | Register::Foreign {
            why: Foreign::OtherCluster,
            ..
        }
        | Register::Foreign {
            exported: false, ..
        } => Unpublish::Nothing,
        Register::Foreign { why, .. } => Unpublish::Unprovable(*why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::{FencingMode, Scheme};
    use crate::domain::id::{ClusterId, VolumeId};
    use crate::domain::leadership::Epoch;
    use crate::domain::names::Tail;

    fn label(node: &str) -> NodeLabel {
        NodeLabel::of(&node.parse().unwrap())
    }

    fn scheme() -> Scheme {
        Scheme {
            mode: FencingMode::Pair,
            cluster: "c".parse::<ClusterId>().unwrap().tag(),
        }
    }

    fn slot() -> VolumeId {
        "csi-0123456789abcdef0123456789ab".parse().unwrap()
    }

    const TAIL: Tail = Tail {
        epoch: Epoch::ZERO,
        unix_seconds: 0,
        random: 1,
    };

    fn free() -> Names {
        scheme().first_names(&slot(), TAIL)
    }

    fn pair(node: &str) -> Pair {
        scheme().fresh_pair(&slot(), &node.parse().unwrap(), &free(), TAIL)
    }

    fn foreign(exported: bool, why: Foreign) -> Register {
        Register::Foreign {
            names: free(),
            exported,
            why,
        }
    }

    #[test]
    fn publish_grants_only_what_no_other_node_can_be_using() {
        let (a, b) = (pair("a"), pair("b"));
        let rows = [
            (Register::Free(free()), false, Publish::Grant(free())),
            (
                Register::Granted(a.clone()),
                true,
                Publish::AsItStands(a.clone()),
            ),
            (
                Register::Granted(a.clone()),
                false,
                Publish::Reopen(a.clone()),
            ),
            (
                Register::Prepared(a.clone()),
                true,
                Publish::Reopen(a.clone()),
            ),
            (
                Register::Prepared(a.clone()),
                false,
                Publish::RevokeFirst(a.names.clone()),
            ),
            (
                Register::Granted(b.clone()),
                false,
                Publish::HeldBy(b.clone()),
            ),
            (Register::Prepared(b.clone()), false, Publish::HeldBy(b)),
            (Register::Stray(free()), false, Publish::RevokeFirst(free())),
            (
                foreign(true, Foreign::Wildcard),
                false,
                Publish::Untouchable(Foreign::Wildcard),
            ),
            (
                foreign(false, Foreign::Unreadable),
                false,
                Publish::Untouchable(Foreign::Unreadable),
            ),
        ];
        for (register, told, expected) in rows {
            assert_eq!(
                publish(&register, &label("a"), told),
                expected,
                "{register:?} {told}"
            );
        }
    }

    #[test]
    fn unpublish_changes_only_the_grant_of_the_node_it_names() {
        let (a, b) = (pair("a"), pair("b"));
        let shared = scheme().shared_pair(&slot(), &free(), TAIL);
        let revoke = |pair: &Pair| Unpublish::Revoke(pair.names.clone());
        let one = Some(label("a"));
        let rows = [
            (Register::Free(free()), one.clone(), Unpublish::Nothing),
            (Register::Granted(a.clone()), one.clone(), revoke(&a)),
            (Register::Prepared(a.clone()), one.clone(), revoke(&a)),
            (
                Register::Granted(b.clone()),
                one.clone(),
                Unpublish::Nothing,
            ),
            (
                Register::Prepared(b.clone()),
                one.clone(),
                Unpublish::Nothing,
            ),
            (Register::Granted(b.clone()), None, revoke(&b)),
            (
                Register::Granted(shared.clone()),
                one.clone(),
                Unpublish::LeaveShare(shared.clone()),
            ),
            (Register::Granted(shared.clone()), None, revoke(&shared)),
            (
                Register::Stray(free()),
                one.clone(),
                Unpublish::Revoke(free()),
            ),
            (
                foreign(true, Foreign::OtherCluster),
                one.clone(),
                Unpublish::Nothing,
            ),
            (
                foreign(false, Foreign::Unreadable),
                one.clone(),
                Unpublish::Nothing,
            ),
            (
                foreign(true, Foreign::Wildcard),
                one,
                Unpublish::Unprovable(Foreign::Wildcard),
            ),
        ];
        for (register, node, expected) in rows {
            assert_eq!(
                unpublish(&register, node.as_ref()),
                expected,
                "{register:?} {node:?}"
            );
        }
    }
}
