//! What this process remembers of each volume. Memory makes calls cheap and orders them in time;
//! it never answers for the RDS.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use moka::sync::Cache;

use crate::domain::access::Access;
use crate::domain::file::BackingFile;
use crate::domain::grant::{Pair, Register};
use crate::domain::id::VolumeId;
use crate::domain::leadership::BootTime;
use crate::domain::names::{NodeLabel, Tail};

/// Volumes whose immutable facts are kept. A miss costs one more round trip, so the bound only has
/// to be above the number of volumes that are attached and detached all the time: 100,000 of about
/// 200 bytes are 20 MB at the very most.
const FACTS_KEPT: u64 = 100_000;

/// What never changes about a volume, proved once by a read.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The file that proves it ours.
    pub(super) file: BackingFile,
}

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
    /// The register as it was last read back; `None` after an unknown outcome.
    pub(super) seen: Option<Register>,
    /// Who could connect when the register was last read. Not touched by an unknown outcome: a node
    /// counts as holding on until a read shows otherwise.
    pub(super) user: User,
    /// Who was told what.
    pub(super) told: Option<Told>,
    /// Who left last (`None` in it: nobody knows who), and when that was read back. Absent: no node
    /// ever held it.
    pub(super) left: Option<(Option<NodeLabel>, BootTime)>,
}

/// The memories of all volumes.
#[derive(Debug)]
pub(super) struct Ledger {
    memories: Mutex<HashMap<VolumeId, Memory>>,
    facts: Cache<VolumeId, Facts>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            memories: Mutex::default(),
            facts: Cache::new(FACTS_KEPT),
        }
    }
}

impl Ledger {
    /// The immutable facts, if they have been proved and are still kept.
    pub(super) fn facts(&self, id: &VolumeId) -> Option<Facts> {
        self.facts.get(id)
    }

    /// What is remembered, if anything.
    pub(super) fn memory(&self, id: &VolumeId) -> Option<Memory> {
        self.with(|memories| memories.get(id).cloned())
    }

    /// Records what was read of a volume that is provably ours.
    ///
    /// A node that was seen holding the volume and no longer does has left: by our own revoke, by a
    /// late command, or by hand.
    pub(super) fn observe(&self, id: &VolumeId, facts: Facts, register: &Register, now: BootTime) {
        if self.facts(id).is_some_and(|known| known.file != facts.file) {
            // Made again under the same name behind our back: what its nodes were told is void.
            self.forget(id);
        }
        self.facts.insert(id.clone(), facts);
        let user = User::of(register);
        self.with(|memories| {
            let first = !memories.contains_key(id);
            let memory = memories.entry(id.clone()).or_default();
            if first {
                memory.left = Some((None, now));
            } else if memory.user != User::Nobody && memory.user != user {
                memory.left = Some((memory.user.node(), now));
            }
            memory.user = user;
            memory.seen = Some(register.clone());
        });
    }

    /// Records a volume that was made just now: nobody ever held it.
    pub(super) fn born(&self, id: &VolumeId, facts: Facts, register: Register) {
        self.facts.insert(id.clone(), facts);
        let memory = Memory {
            seen: Some(register),
            ..Memory::default()
        };
        self.with(|memories| memories.insert(id.clone(), memory));
    }

    /// A command's outcome is unknown: nothing may be built on what was last seen.
    pub(super) fn doubt(&self, id: &VolumeId) {
        self.with(|memories| {
            if let Some(memory) = memories.get_mut(id) {
                memory.seen = None;
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
        self.facts.invalidate(id);
        self.with(|memories| memories.remove(id));
    }

    /// Forgets every volume that `keep` does not name.
    pub(super) fn retain(&self, keep: impl Fn(&VolumeId) -> bool) {
        self.with(|memories| memories.retain(|id, _| keep(id)));
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<VolumeId, Memory>) -> T) -> T {
        work(&mut self.memories.lock().unwrap_or_else(PoisonError::into_inner))
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
