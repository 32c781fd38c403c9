//! What this process remembers of each volume. Memory makes calls cheap and orders them in time;
//! it never answers for the RDS.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::domain::access::Access;
use crate::domain::file::BackingFile;
use crate::domain::grant::{Pair, Register};
use crate::domain::id::VolumeId;
use crate::domain::leadership::BootTime;
use crate::domain::names::{Names, NodeLabel, Tail};

/// Volumes whose last read-back is kept in full. Without it the next command costs one more round
/// trip, so this only has to be above the number of volumes that come and go all the time; 4,096 of
/// about 600 bytes are under 3 MB, however many volumes the RDS holds.
const EXPECTATIONS_KEPT: u64 = 4096;

/// A pair that its node was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) pair: Pair,
    /// Before this moment the pair does not count as told: it was found, not answered.
    pub(super) from: BootTime,
    /// How it was published; unknown if it was found.
    pub(super) access: Option<Access>,
    /// A line that brings it back has been sent.
    pub(super) remade: bool,
}

/// Who could be using a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum User {
    #[default]
    Nobody,
    Node(NodeLabel),
    /// The names did not tell.
    Anybody,
}

/// Stands for the names last seen, in eight bytes: names are long, and only whether they are still
/// the same has to be remembered of every volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark(u64);

/// What must not be forgotten of a volume for as long as it exists.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// The nonce of its file: another one is another volume of the same name.
    incarnation: Option<u64>,
    /// The names as they were last read back.
    seen: Option<Mark>,
    /// A command since then has an unknown outcome.
    in_doubt: bool,
    /// Who could connect when the register was last read. Not touched by an unknown outcome: a node
    /// counts as holding on until a read shows otherwise.
    user: User,
    /// Who was told what.
    pub(super) told: Option<Box<Told>>,
    /// Who left last (`None` in it: nobody knows who), and when that was read back. Absent: no node
    /// ever held it.
    pub(super) left: Option<(Option<NodeLabel>, BootTime)>,
}

/// The memories of all volumes, one per volume that the RDS has.
#[derive(Debug)]
pub(super) struct Ledger {
    // Boxed: up to half of a table's places are empty, and each would take 150 bytes.
    memories: Mutex<HashMap<VolumeId, Box<Memory>>>,
    /// What the next command may be built on: these volumes are ours, and had these registers when
    /// they were last read. If that is no longer so, the command changes nothing.
    expectations: Cache<VolumeId, Arc<Register>>,
}

impl Default for Ledger {
    fn default() -> Self {
        // The volume used last is the one used next: detach follows attach, delete follows detach.
        let expectations = Cache::builder()
            .max_capacity(EXPECTATIONS_KEPT)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            memories: Mutex::default(),
            expectations,
        }
    }
}

impl Ledger {
    /// What the next command may be built on, unless that was let go or is in doubt.
    pub(super) fn expectation(&self, id: &VolumeId) -> Option<Arc<Register>> {
        self.expectations.get(id)
    }

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
        file: &BackingFile,
        register: &Register,
        now: BootTime,
    ) {
        let user = User::of(register);
        self.with(|memories| {
            let known = memories.get(id).and_then(|memory| memory.incarnation);
            if known.is_some_and(|known| known != file.nonce) {
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
            memory.incarnation = Some(file.nonce);
            memory.user = user;
            memory.seen = Some(Mark::of(register.names()));
            memory.in_doubt = false;
        });
        self.expectations
            .insert(id.clone(), Arc::new(register.clone()));
    }

    /// Records a volume that was made just now: nobody ever held it.
    pub(super) fn born(&self, id: &VolumeId, file: &BackingFile, register: Register) {
        let memory = Memory {
            incarnation: Some(file.nonce),
            seen: Some(Mark::of(register.names())),
            ..Memory::default()
        };
        self.with(|memories| memories.insert(id.clone(), Box::new(memory)));
        self.expectations.insert(id.clone(), Arc::new(register));
    }

    /// A command's outcome is unknown: nothing may be built on what was last seen.
    pub(super) fn doubt(&self, id: &VolumeId) {
        self.expectations.invalidate(id);
        self.with(|memories| {
            if let Some(memory) = memories.get_mut(id) {
                memory.in_doubt = true;
            }
        });
    }

    /// Records that a node was told a pair.
    pub(super) fn tell(&self, id: &VolumeId, mut told: Told) {
        self.with(|memories| {
            let memory = memories.entry(id.clone()).or_default();
            let before = memory
                .told
                .as_ref()
                .filter(|before| before.pair == told.pair);
            told.remade |= before.is_some_and(|before| before.remade);
            memory.told = Some(Box::new(told));
        });
    }

    /// Whether a told pair may be brought back: once in its life, and recorded before the line is
    /// sent. Of two such lines one can write the subsystem name and the other the host name, over a
    /// grant that came between, if each is held up between its `find` and its `set`.
    pub(super) fn begin_remake(&self, id: &VolumeId, pair: &Pair) -> bool {
        self.with(|memories| {
            let told = memories.get_mut(id).and_then(|memory| memory.told.as_mut());
            let Some(told) = told.filter(|told| &told.pair == pair && !told.remade) else {
                return false;
            };
            told.remade = true;
            true
        })
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
        self.expectations.invalidate(id);
        self.with(|memories| memories.remove(id));
    }

    /// How many volumes some node may be using, and how many none.
    pub(super) fn census(&self) -> (usize, usize) {
        self.with(|memories| {
            let free = |memory: &&Box<Memory>| memory.user == User::Nobody;
            let free = memories.values().filter(free).count();
            (memories.len() - free, free)
        })
    }

    /// Forgets every volume that `keep` does not name.
    pub(super) fn retain(&self, keep: impl Fn(&VolumeId) -> bool) {
        self.with(|memories| memories.retain(|id, _| keep(id)));
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<VolumeId, Box<Memory>>) -> T) -> T {
        work(&mut self.memories.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Mark ===

impl Mark {
    fn of(names: &Names) -> Self {
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        Self(hasher.finish())
    }
}

// === impl Memory ===

impl Memory {
    /// Whether something was seen, and nothing has put it in doubt since.
    pub(super) fn is_certain(&self) -> bool {
        self.seen.is_some() && !self.in_doubt
    }

    /// Whether these are the names that were last seen.
    pub(super) fn saw(&self, register: &Register) -> bool {
        self.seen == Some(Mark::of(register.names()))
    }

    /// Whether some node may have been cut off since the last read. Free names that are not those
    /// last seen were written by somebody else after a grant that nobody here saw.
    fn somebody_left(&self, register: &Register, user: &User) -> bool {
        match self.user {
            User::Nobody => user == &User::Nobody && !self.saw(register),
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
mod tests;
