//! The NVMe/TCP target: sessions over the exports that the disk entries describe.
//!
//! It behaves as the Linux kernel's target was seen to: names are compared when a host connects and
//! never again, so renaming an export or changing its allow-list leaves live sessions writing. Only
//! taking the export away ends them, all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::sim::name::Name;
use crate::sim::value::ItemId;

/// Violations kept in full; further ones are counted. A run with one is already lost.
pub const FINDINGS_KEPT: usize = 4_096;

/// A session. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SessionId(pub u64);

/// A host asks for a subsystem.
#[derive(Debug, Clone)]
pub struct ConnectRequest {
    /// Which machine it is; the target does not see this, the observer does.
    pub machine: String,
    /// The subsystem's name.
    pub subsystem_nqn: String,
    /// The host's name, the only thing access control compares.
    pub host_nqn: String,
    /// The host's id.
    pub host_id: String,
}

/// Why a host was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum ConnectRefusal {
    /// No export has this name. Linux reports "invalid parameter" for it.
    #[error("no export has this subsystem name")]
    UnknownSubsystem,
    /// The export's allow-list names another host.
    #[error("the export does not allow this host name")]
    HostNotAllowed,
    /// The device is down.
    #[error("the device does not answer")]
    Down,
}

/// The session is not alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session has ended")]
pub struct SessionGone;

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub machine: Name,
    /// The subsystem name it was opened with; the export may have another by now.
    pub subsystem_nqn: Name,
    /// The host name it was opened with.
    pub host_nqn: Name,
    /// The host id it was opened with.
    pub host_id: Name,
    /// The disk entry it reaches.
    pub disk: ItemId,
    /// Slot of that entry when it was opened.
    pub slot: Name,
    /// The backing file, or the slot of a disk without one.
    pub backing: Name,
    /// Monotonic time of its opening.
    pub opened_at: Duration,
    /// Its place in the order of everything.
    pub opened_seq: u64,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// `nvme-tcp-export=no`.
    ExportOff,
    /// The disk entry was removed.
    EntryRemoved,
    /// The device went down.
    PowerOff,
    /// The allow-list changed, on a device that then ends sessions.
    NotAllowedAnyMore,
    /// The initiator hung up.
    Disconnected,
}

/// One side of an overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Party {
    /// The session.
    pub session: SessionId,
    /// The machine.
    pub machine: Name,
}

/// Two machines had live sessions on one backing file at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// The backing file.
    pub backing: Name,
    /// Who was there.
    pub first: Party,
    /// Who came as well.
    pub second: Party,
    /// When the second came.
    pub from_seq: u64,
    /// When either left; `None` while both are there.
    pub until_seq: Option<u64>,
}

/// A write that was issued before another machine's later session on the same backing file was
/// opened, and accepted after that: it may lie over the other machine's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The backing file.
    pub backing: Name,
    /// Whose write, under which session.
    pub writer: Party,
    /// When the write was issued.
    pub issued_seq: u64,
    /// When it was accepted.
    pub accepted_seq: u64,
    /// The other machine's session that lay between.
    pub between: Party,
    /// When that session was opened.
    pub opened_seq: u64,
}

/// Sessions, and what is wrong about them.
#[derive(Debug, Default)]
pub(crate) struct Target {
    sessions: BTreeMap<SessionId, Session>,
    by_backing: BTreeMap<Name, BTreeSet<SessionId>>,
    last_id: u64,
    /// Per backing file and machine, the newest session ever opened.
    newest: BTreeMap<Name, BTreeMap<Name, (SessionId, u64)>>,
    overlaps: Vec<Overlap>,
    replays: Vec<Replay>,
    uncounted: u64,
}

// === impl SessionId ===

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

// === impl Session ===

impl Session {
    fn party(&self) -> Party {
        Party {
            session: self.id,
            machine: self.machine.clone(),
        }
    }
}

// === impl Target ===

impl Target {
    pub(crate) fn next_id(&mut self) -> SessionId {
        self.last_id += 1;
        SessionId(self.last_id)
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// Live sessions that reach `disk`, whose backing file is `backing`.
    pub(crate) fn of_disk(&self, disk: ItemId, backing: &str) -> Vec<&Session> {
        let ids = self.by_backing.get(backing).into_iter().flatten();
        ids.filter_map(|id| self.sessions.get(id))
            .filter(|s| s.disk == disk)
            .collect()
    }

    /// Takes a session in and notes every other machine that is already there.
    pub(crate) fn open(&mut self, session: Session) {
        let there = self.by_backing.get(&session.backing).into_iter().flatten();
        let others: Vec<Party> = there
            .filter_map(|id| self.sessions.get(id))
            .filter(|other| other.machine != session.machine)
            .map(Session::party)
            .collect();
        for first in others {
            let overlap = Overlap {
                backing: session.backing.clone(),
                first,
                second: session.party(),
                from_seq: session.opened_seq,
                until_seq: None,
            };
            keep(&mut self.overlaps, overlap, &mut self.uncounted);
        }
        let newest = self.newest.entry(session.backing.clone()).or_default();
        newest.insert(session.machine.clone(), (session.id, session.opened_seq));
        self.by_backing
            .entry(session.backing.clone())
            .or_default()
            .insert(session.id);
        self.sessions.insert(session.id, session);
    }

    /// Lets a session go; `seq` closes the overlaps it was part of.
    pub(crate) fn close(&mut self, id: SessionId, seq: u64) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        if let Some(ids) = self.by_backing.get_mut(&session.backing) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_backing.remove(&session.backing);
            }
        }
        for overlap in self
            .overlaps
            .iter_mut()
            .filter(|overlap| overlap.until_seq.is_none())
        {
            if overlap.first.session == id || overlap.second.session == id {
                overlap.until_seq = Some(seq);
            }
        }
        Some(session)
    }

    /// Judges an accepted write against the sessions other machines opened since it was issued.
    pub(crate) fn accepted(&mut self, session: &Session, issued_seq: u64, accepted_seq: u64) {
        let newest = self.newest.get(&session.backing).into_iter().flatten();
        let between = newest
            .filter(|(machine, (_, opened))| **machine != session.machine && *opened > issued_seq)
            .max_by_key(|(_, (_, opened))| *opened);
        let Some((machine, (id, opened_seq))) = between else {
            return;
        };
        let replay = Replay {
            backing: session.backing.clone(),
            writer: session.party(),
            issued_seq,
            accepted_seq,
            between: Party {
                session: *id,
                machine: machine.clone(),
            },
            opened_seq: *opened_seq,
        };
        keep(&mut self.replays, replay, &mut self.uncounted);
    }

    pub(crate) fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }

    pub(crate) fn replays(&self) -> &[Replay] {
        &self.replays
    }

    /// Findings beyond [`FINDINGS_KEPT`].
    pub(crate) fn uncounted(&self) -> u64 {
        self.uncounted
    }
}

fn keep<T>(kept: &mut Vec<T>, found: T, beyond: &mut u64) {
    if kept.len() < FINDINGS_KEPT {
        kept.push(found);
    } else {
        *beyond += 1;
    }
}
