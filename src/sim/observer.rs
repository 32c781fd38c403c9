//! The observer at the device: every session, write and command, in one order.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::sim::backing::Stamp;
use crate::sim::name::Name;
use crate::sim::target::{ConnectRefusal, EndReason, Session, SessionId};

/// Entries kept by default. At about 300 bytes each (a publish line is the largest, near 1 kB)
/// this is 20 to 60 MB, and twenty seconds of 3,000 commands a second.
pub const LOG_CAPACITY: usize = 65_536;

/// Events a slow subscriber may lag behind before it is told that it lost some. One fencing of
/// 1,000 volumes is 1,000 events.
pub const EVENT_CAPACITY: usize = 4_096;

/// One line of the observer's log.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Position in the one order of everything; grows, has gaps.
    pub seq: u64,
    /// Monotonic time since the device was made.
    pub at: Duration,
    /// What happened.
    pub what: What,
}

/// Things the observer sees.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A host connected.
    SessionOpened(Session),
    /// A host was turned away.
    SessionRefused {
        /// The machine that tried.
        machine: Name,
        /// The subsystem it asked for.
        subsystem_nqn: Name,
        /// The name it gave.
        host_nqn: Name,
        /// Why not.
        why: ConnectRefusal,
    },
    /// A session ended.
    SessionEnded {
        /// The session as it was.
        session: Session,
        /// Why.
        why: EndReason,
    },
    /// Data reached the backing store.
    WriteAccepted(WriteRecord),
    /// A write came under a session that had ended.
    WriteRefused {
        /// The session it named.
        session: SessionId,
        /// Byte offset.
        offset: u64,
        /// What it would have written.
        stamp: Stamp,
        /// When it was issued.
        issued_seq: u64,
    },
    /// A line was executed, refused or lost.
    Command(CommandRecord),
    /// The power went, or a reboot began: every session is gone.
    PoweredOff,
    /// The device is up (again).
    Rebooted,
    /// The disk entries were replaced by those of an older snapshot.
    Restored,
}

/// A write that was accepted.
#[derive(Debug, Clone, Serialize)]
pub struct WriteRecord {
    /// Under which session.
    pub session: SessionId,
    /// From which machine.
    pub machine: Name,
    /// Slot of the disk entry when the session was opened.
    pub slot: Name,
    /// The backing file, or the slot of a disk without one.
    pub backing: Name,
    /// Byte offset.
    pub offset: u64,
    /// The content.
    pub stamp: Stamp,
    /// Value of [`crate::sim::world::World::now_seq`] when the machine issued it.
    pub issued_seq: u64,
}

/// A line that came over the command channel. Its end is the entry's own `seq`.
#[derive(Debug, Clone, Serialize)]
pub struct CommandRecord {
    /// Number of the line since the device was made.
    pub line: u64,
    /// Who sent it.
    pub user: Name,
    /// The text.
    pub text: Name,
    /// Sequence number at which it began.
    pub start_seq: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a line ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All of it ran.
    Done,
    /// Nothing of it ran.
    ParseError(String),
    /// It ran up to an error.
    Failed(String),
    /// A gate ended it.
    Abandoned,
    /// The device went down under it.
    Interrupted,
}

/// What subscribers are told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A host connected.
    SessionOpened(SessionId),
    /// A session ended; its initiator sees the connection close.
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why.
        why: EndReason,
    },
    /// The device stopped answering.
    PoweredOff,
    /// The device is up; uptime starts at zero.
    Rebooted,
}

/// The log: a ring of the last entries and a channel for events.
#[derive(Debug)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    capacity: usize,
    seq: u64,
    dropped: u64,
    started: Instant,
    events: broadcast::Sender<Event>,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            capacity: capacity.max(1),
            seq: 0,
            dropped: 0,
            started: Instant::now(),
            events: broadcast::Sender::new(EVENT_CAPACITY),
        }
    }

    /// Takes the next sequence number without an entry.
    pub(crate) fn tick(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub(crate) fn now_seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn push(&mut self, what: What) -> u64 {
        let seq = self.tick();
        self.push_at(seq, what);
        seq
    }

    /// Records under a number taken before with [`Log::tick`], which must be the newest.
    pub(crate) fn push_at(&mut self, seq: u64, what: What) {
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(Entry {
            seq,
            at: self.now(),
            what,
        });
    }

    pub(crate) fn announce(&self, event: Event) {
        // Nobody listening is not an error.
        drop(self.events.send(event));
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn since(&self, seq: u64) -> Vec<Entry> {
        let first = self.entries.partition_point(|entry| entry.seq <= seq);
        self.entries.range(first..).cloned().collect()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
