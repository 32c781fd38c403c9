//! What this process remembers of each volume. Memory makes calls cheap and orders them in time;
//! it never answers for the RDS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::access::Access;
use crate::domain::file::BackingFile;
use crate::domain::grant::{Pair, Register};
use crate::domain::id::VolumeId;
use crate::domain::leadership::BootTime;
use crate::domain::names::{NodeLabel, Tail};

/// A pair that its node was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) pair: Pair,
    /// Before this moment the pair does not count as told: it was found, not answered.
    pub(super) from: BootTime,
    /// How it was published; unknown if it was found.
    pub(super) access: Option<Access>,
}

/// Who could be using a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum User {
    #[default]
    Nobody,
    Node(NodeLabel),
    /// The names did not tell.
    Anybody,
}

/// What is remembered of one volume.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// The file that proved the volume ours. It never changes; one proof serves every later call.
    pub(super) file: Option<Arc<BackingFile>>,
    /// The register as it was last read back.
    pub(super) seen: Option<Register>,
    /// A command since then has an unknown outcome.
    pub(super) in_doubt: bool,
    /// Who could connect when the register was last read. Not touched by an unknown outcome: a node
    /// counts as holding on until a read shows otherwise.
    pub(super) user: User,
    /// Who was told what.
    pub(super) told: Option<Told>,
    /// Who left last (`None` in it: nobody knows who), and when that was read back. Absent: no node
    /// ever held it.
    pub(super) left: Option<(Option<NodeLabel>, BootTime)>,
}

/// The memories of all volumes, one per volume that the RDS has.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    // Boxed: up to half of a table's places are empty, and each would take 300 bytes.
    memories: Mutex<HashMap<VolumeId, Box<Memory>>>,
}

impl Ledger {
    /// What is remembered, if anything.
    pub(super) fn memory(&self, id: &VolumeId) -> Option<Memory> {
        self.with(|memories| memories.get(id).map(|memory| Memory::clone(memory)))
    }

    /// Records what was read of a volume that is provably ours.
    ///
    /// A node that was seen holding the volume and no longer does has left: by our own revoke, by a
    /// late command, or by hand.
    pub(super) fn observe(
        &self,
        id: &VolumeId,
        file: BackingFile,
        register: &Register,
        now: BootTime,
    ) {
        let user = User::of(register);
        self.with(|memories| {
            let known = memories.get(id).and_then(|memory| memory.file.as_deref());
            if known.is_some_and(|known| *known != file) {
                // Made again under the same name behind our back: what its nodes were told is void.
                memories.remove(id);
            }
            let first = !memories.contains_key(id);
            let memory = memories.entry(id.clone()).or_default();
            if first {
                memory.left = Some((None, now));
            } else if memory.somebody_left(register, &user) {
                memory.left = Some((memory.user.node(), now));
            }
            memory.file.get_or_insert_with(|| Arc::new(file));
            memory.user = user;
            memory.seen = Some(register.clone());
            memory.in_doubt = false;
        });
    }

    /// Records a volume that was made just now: nobody ever held it.
    pub(super) fn born(&self, id: &VolumeId, file: BackingFile, register: Register) {
        let memory = Memory {
            file: Some(Arc::new(file)),
            seen: Some(register),
            ..Memory::default()
        };
        self.with(|memories| memories.insert(id.clone(), Box::new(memory)));
    }

    /// A command's outcome is unknown: nothing may be built on what was last seen.
    pub(super) fn doubt(&self, id: &VolumeId) {
        self.with(|memories| {
            if let Some(memory) = memories.get_mut(id) {
                memory.in_doubt = true;
            }
        });
    }

    /// Records that a node was told a pair.
    pub(super) fn tell(&self, id: &VolumeId, told: Told) {
        self.with(|memories| memories.entry(id.clone()).or_default().told = Some(told));
    }

    /// Records that nobody may use what they were told any more.
    pub(super) fn untell(&self, id: &VolumeId) {
        self.with(|memories| {
            if let Some(memory) = memories.get_mut(id) {
                memory.told = None;
            }
        });
    }

    /// The volume is gone.
    pub(super) fn forget(&self, id: &VolumeId) {
        self.with(|memories| memories.remove(id));
    }

    /// Forgets every volume that `keep` does not name.
    pub(super) fn retain(&self, keep: impl Fn(&VolumeId) -> bool) {
        self.with(|memories| memories.retain(|id, _| keep(id)));
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<VolumeId, Box<Memory>>) -> T) -> T {
        work(&mut self.memories.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Memory ===

impl Memory {
    /// Whether a read has proved the volume ours.
    pub(super) fn is_proved(&self) -> bool {
        self.file.is_some()
    }

    /// What the next command may be built on.
    pub(super) fn expected(&self) -> Option<&Register> {
        self.seen.as_ref().filter(|_| !self.in_doubt)
    }

    /// Whether some node may have been cut off since the last read. Free names that are not those
    /// last seen were written by somebody else after a grant that nobody here saw.
    fn somebody_left(&self, register: &Register, user: &User) -> bool {
        let before = self.seen.as_ref().map(Register::names);
        match self.user {
            User::Nobody => user == &User::Nobody && before != Some(register.names()),
            User::Node(_) | User::Anybody => &self.user != user,
        }
    }
}

// === impl User ===

impl User {
    fn of(register: &Register) -> Self {
        match register {
            Register::Free(_) => Self::Nobody,
            Register::Prepared(pair) | Register::Granted(pair) => Self::Node(pair.node.clone()),
            Register::Stray(_) | Register::Foreign { .. } => Self::Anybody,
        }
    }

    fn node(&self) -> Option<NodeLabel> {
        match self {
            Self::Node(label) => Some(label.clone()),
            Self::Nobody | Self::Anybody => None,
        }
    }
}

// === impl Told ===

impl Told {
    /// Whether this is the pair made with `tail`, and counts by now.
    pub(super) fn covers(&self, tail: Tail, now: BootTime) -> bool {
        self.pair.tail == tail && now >= self.from
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::grant::{FencingMode, Scheme};
    use crate::domain::id::ClusterId;
    use crate::domain::leadership::Epoch;

    fn id() -> VolumeId {
        "csi-0123456789abcdef0123456789ab".parse().unwrap()
    }

    fn scheme() -> Scheme {
        let cluster = "c".parse::<ClusterId>().unwrap().tag();
        Scheme {
            mode: FencingMode::Pair,
            cluster,
        }
    }

    fn tail(random: u64) -> Tail {
        Tail {
            epoch: Epoch::ZERO,
            unix_seconds: 0,
            random,
        }
    }

    fn free(random: u64) -> Register {
        Register::Free(scheme().first_names(&id(), tail(random)))
    }

    fn granted(node: &str, random: u64) -> Register {
        let free = scheme().first_names(&id(), tail(0));
        Register::Granted(scheme().fresh_pair(&id(), &node.parse().unwrap(), &free, tail(random)))
    }

    fn file(nonce: u64) -> BackingFile {
        let path = format!("/pool/{}.{}.00000000.{nonce:016x}.img", id(), "00000000");
        BackingFile::read(&path).unwrap()
    }

    fn at(seconds: u64) -> BootTime {
        BootTime::new(Duration::from_secs(seconds))
    }

    #[test]
    fn every_way_of_losing_a_holder_starts_the_settling_time() {
        let left = |node: &str| Some((Some(NodeLabel::of(&node.parse().unwrap())), at(9)));
        let rows = [
            (vec![granted("a", 1), free(2)], left("a")),
            (vec![granted("a", 1), granted("b", 2)], left("a")),
            (vec![free(1), free(1)], None),
            (vec![free(1), granted("a", 2)], None),
            (vec![granted("a", 1), granted("a", 1)], None),
            // Somebody else granted and revoked it between two reads.
            (vec![free(1), free(2)], Some((None, at(9)))),
        ];
        for (seen, expected) in rows {
            for in_doubt in [false, true] {
                let ledger = Ledger::default();
                ledger.born(&id(), file(1), seen[0].clone());
                ledger.observe(&id(), file(1), &seen[0], at(1));
                if in_doubt {
                    ledger.doubt(&id());
                }
                ledger.observe(&id(), file(1), &seen[1], at(9));
                assert_eq!(
                    ledger.memory(&id()).unwrap().left,
                    expected,
                    "{seen:?} {in_doubt}"
                );
            }
        }
    }

    #[test]
    fn a_volume_seen_for_the_first_time_may_just_have_been_left() {
        let ledger = Ledger::default();
        ledger.observe(&id(), file(1), &free(1), at(3));
        assert_eq!(ledger.memory(&id()).unwrap().left, Some((None, at(3))));
    }

    #[test]
    fn a_volume_made_again_under_its_name_is_another_volume() {
        let ledger = Ledger::default();
        ledger.born(&id(), file(1), free(1));
        let Register::Granted(pair) = granted("a", 2) else {
            panic!("a grant")
        };
        ledger.tell(
            &id(),
            Told {
                pair,
                from: at(0),
                access: None,
            },
        );
        ledger.observe(&id(), file(2), &free(3), at(3));
        assert_eq!(ledger.memory(&id()).unwrap().told, None);
    }
}
