//! What waits in one shard: a line per volume, and lanes between the lines. No tasks, no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;

use crate::domain::id::VolumeId;
use crate::service::shards::lanes::{Lane, Lanes, Ticket};

/// Jobs that may wait for one volume. Sidecars send at most one call per volume and verb (about
/// four); 16 leaves room for retries of callers that gave up.
pub(super) const MAX_WAITING: usize = 16;

/// A job that asks to be started.
#[derive(Debug)]
pub(super) struct Request<J> {
    /// On which volume.
    pub(super) id: VolumeId,
    /// How urgent it is.
    pub(super) lane: Lane,
    /// What it does, for messages.
    pub(super) operation: &'static str,
    /// Since when it waits.
    pub(super) since: Instant,
    /// The work.
    pub(super) job: J,
}

/// A line that takes nobody any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} other calls wait for this volume, {} is under way", .under_way.unwrap_or("none of them"))]
pub(super) struct LineFull {
    waiting: usize,
    under_way: Option<&'static str>,
}

/// The volumes of a shard that somebody works on or waits for.
#[derive(Debug)]
pub(super) struct Queue<J> {
    lines: HashMap<VolumeId, Line<J>>,
    lanes: Lanes,
    /// Since when each job waits: the first is the oldest.
    waiting: BTreeMap<Ticket, Instant>,
    tickets: Ticket,
}

#[derive(Debug)]
struct Line<J> {
    under_way: Option<&'static str>,
    waiting: VecDeque<(Ticket, Request<J>)>,
}

// === impl Queue ===

impl<J> Queue<J> {
    /// Takes a job in, behind those of its volume that came before.
    ///
    /// # Errors
    /// Gives it back with the reason if too many wait for its volume.
    pub(super) fn push(&mut self, request: Request<J>) -> Result<(), (Request<J>, LineFull)> {
        let line = self.lines.entry(request.id.clone()).or_default();
        if line.waiting.len() >= MAX_WAITING {
            let full = LineFull {
                waiting: line.waiting.len(),
                under_way: line.under_way,
            };
            return Err((request, full));
        }
        self.tickets += 1;
        self.waiting.insert(self.tickets, request.since);
        if line.is_idle() {
            self.lanes
                .add(request.lane, self.tickets, request.id.clone());
        }
        line.waiting.push_back((self.tickets, request));
        Ok(())
    }

    /// Takes out the job that starts next. Its volume is worked on until [`Queue::done`].
    pub(super) fn next(&mut self) -> Option<Request<J>> {
        let line = self.lines.get_mut(&self.lanes.next()?)?;
        let (ticket, request) = line.waiting.pop_front()?;
        line.under_way = Some(request.operation);
        self.waiting.remove(&ticket);
        Some(request)
    }

    /// The job on this volume has ended.
    pub(super) fn done(&mut self, id: &VolumeId) {
        let Some(line) = self.lines.get_mut(id) else {
            return;
        };
        line.under_way = None;
        if let Some((ticket, urgency)) = line.first() {
            self.lanes.add(urgency, ticket, id.clone());
        } else {
            self.lines.remove(id);
        }
    }

    /// Lets go of waiting jobs of which `is_void` holds.
    pub(super) fn forget(&mut self, is_void: impl Fn(&J) -> bool) {
        let Self {
            lines,
            lanes,
            waiting,
            ..
        } = self;
        lines.retain(|id, line| {
            let before = line.first();
            line.waiting.retain(|(ticket, request)| {
                let stays = !is_void(&request.job);
                if !stays {
                    waiting.remove(ticket);
                }
                stays
            });
            let after = line.first();
            if line.under_way.is_none() && before != after {
                if let Some((ticket, lane)) = before {
                    lanes.remove(lane, ticket);
                }
                if let Some((ticket, lane)) = after {
                    lanes.add(lane, ticket, id.clone());
                }
            }
            line.under_way.is_some() || after.is_some()
        });
    }

    /// Takes out everything that waits, in the order in which it came.
    pub(super) fn clear(&mut self) -> Vec<Request<J>> {
        self.lanes = Lanes::default();
        self.waiting.clear();
        let mut out: Vec<_> = self
            .lines
            .values_mut()
            .flat_map(|line| line.waiting.drain(..))
            .collect();
        self.lines.retain(|_, line| line.under_way.is_some());
        out.sort_unstable_by_key(|(ticket, _)| *ticket);
        out.into_iter().map(|(_, request)| request).collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Since when the one that has waited longest does so.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, since)| *since)
    }

    /// How many volumes somebody works on or waits for.
    #[cfg(test)]
    pub(super) fn volumes(&self) -> usize {
        self.lines.len()
    }
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            lanes: Lanes::default(),
            waiting: BTreeMap::new(),
            tickets: 0,
        }
    }
}

// === impl Line ===

impl<J> Line<J> {
    /// Neither worked on nor waited for.
    fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    fn first(&self) -> Option<(Ticket, Lane)> {
        let (ticket, request) = self.waiting.front()?;
        Some((*ticket, request.lane))
    }
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        Self {
            under_way: None,
            waiting: VecDeque::new(),
        }
    }
}
