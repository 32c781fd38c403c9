//! Events that wait to be posted: warnings first, equal ones as one, and never too many.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::Notify;

use super::notice::Severity;
use super::{About, Marks};
use crate::telemetry::context::Place;

/// What makes two events the same one, counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) about: About,
    pub(super) severity: Severity,
    pub(super) reason: &'static str,
    pub(super) action: &'static str,
    pub(super) note: String,
}

/// How often one event happened since it was last posted.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) times: u32,
    /// The last time.
    pub(super) at: Timestamp,
    /// Those of the last time.
    pub(super) marks: Marks,
    /// The span in which it happened the last time.
    pub(super) cause: Option<Place>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits, by itself or as one of several.
    Waits,
    /// There was no room.
    Dropped {
        /// The first one since the queue was last empty.
        first: bool,
    },
}

/// The events that wait. Pushing never waits.
#[derive(Debug)]
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    news: Notify,
}

#[derive(Debug)]
struct Lanes {
    room: usize,
    warnings: Lane,
    normal: Lane,
    dropping: bool,
}

#[derive(Debug, Default)]
struct Lane {
    order: VecDeque<Key>,
    waiting: HashMap<Key, Waiting>,
}

// === impl Queue ===

impl Queue {
    /// Empty, with room for so many different events of either severity: a storm of normal ones
    /// leaves the room of warnings alone.
    pub(super) fn new(room: usize) -> Self {
        let lanes = Lanes {
            room,
            warnings: Lane::default(),
            normal: Lane::default(),
            dropping: false,
        };
        Self {
            lanes: Mutex::new(lanes),
            news: Notify::new(),
        }
    }

    /// Puts an event behind those of its severity, or adds it to an equal one that waits.
    pub(super) fn push(&self, key: Key, happened: Waiting) -> Pushed {
        let mut lanes = self.lanes();
        let room = lanes.room;
        let lane = match key.severity {
            Severity::Warning => &mut lanes.warnings,
            Severity::Normal => &mut lanes.normal,
        };
        if let Some(waiting) = lane.waiting.get_mut(&key) {
            *waiting = Waiting {
                times: waiting.times.saturating_add(happened.times),
                ..happened
            };
            return Pushed::Waits;
        }
        if lane.order.len() >= room {
            let first = !std::mem::replace(&mut lanes.dropping, true);
            return Pushed::Dropped { first };
        }
        lane.order.push_back(key.clone());
        lane.waiting.insert(key, happened);
        drop(lanes);
        self.news.notify_one();
        Pushed::Waits
    }

    /// The next to be posted: the oldest warning, else the oldest of all.
    pub(super) fn pop(&self) -> Option<(Key, Waiting)> {
        let mut lanes = self.lanes();
        let popped = lanes.warnings.pop().or_else(|| lanes.normal.pop());
        if lanes.len() == 0 {
            lanes.dropping = false;
        }
        popped
    }

    /// How many different events wait.
    pub(super) fn len(&self) -> usize {
        self.lanes().len()
    }

    /// Waits until some event waits. For one caller at a time.
    pub(super) async fn filled(&self) {
        while self.len() == 0 {
            self.news.notified().await;
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Lanes ===

impl Lanes {
    fn len(&self) -> usize {
        self.warnings.order.len() + self.normal.order.len()
    }
}

// === impl Lane ===

impl Lane {
    fn pop(&mut self) -> Option<(Key, Waiting)> {
        let key = self.order.pop_front()?;
        self.waiting.remove_entry(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, severity: Severity, note: &str) -> Pushed {
        let about = About {
            api_version: "v1",
            kind: "PersistentVolumeClaim",
            namespace: "default".to_owned(),
            name: "data".to_owned(),
            uid: None,
        };
        let key = Key {
            about,
            severity,
            reason: "Reason",
            action: "Act",
            note: note.to_owned(),
        };
        let happened = Waiting {
            times: 1,
            at: Timestamp::UNIX_EPOCH,
            marks: Marks::default(),
            cause: None,
        };
        queue.push(key, happened)
    }

    fn drain(queue: &Queue) -> Vec<(String, u32)> {
        std::iter::from_fn(|| queue.pop())
            .map(|(key, waiting)| (key.note, waiting.times))
            .collect()
    }

    #[test]
    fn warnings_overtake_and_equal_events_become_one() {
        use Severity::{Normal, Warning};
        let queue = Queue::new(8);
        let pushes = [
            (Normal, "a"),
            (Warning, "b"),
            (Normal, "a"),
            (Normal, "c"),
            (Warning, "d"),
            (Warning, "b"),
            (Warning, "b"),
            (Warning, "a"),
        ];
        for (severity, note) in pushes {
            assert_eq!(push(&queue, severity, note), Pushed::Waits);
        }
        let expected = [("b", 3), ("d", 1), ("a", 1), ("a", 2), ("c", 1)];
        let expected = expected.map(|(note, times)| (note.to_owned(), times));
        assert_eq!(drain(&queue), expected);
    }

    #[test]
    fn a_storm_of_normal_events_leaves_room_for_warnings_and_is_told_once() {
        use Severity::{Normal, Warning};
        let (first, later) = (
            Pushed::Dropped { first: true },
            Pushed::Dropped { first: false },
        );
        let queue = Queue::new(2);
        let rows = [
            (Normal, "a", Pushed::Waits),
            (Normal, "b", Pushed::Waits),
            (Normal, "c", first),
            (Normal, "d", later),
            // One that waits already takes no room.
            (Normal, "a", Pushed::Waits),
            (Warning, "e", Pushed::Waits),
            (Warning, "f", Pushed::Waits),
            (Warning, "g", later),
        ];
        for (severity, note, expected) in rows {
            assert_eq!(push(&queue, severity, note), expected, "{note}");
        }
        // Room for one is no end of the storm; an empty queue is.
        assert!(queue.pop().is_some());
        assert_eq!(push(&queue, Warning, "h"), Pushed::Waits);
        assert_eq!(push(&queue, Warning, "i"), later);
        assert_eq!(drain(&queue).len(), 4);
        for _ in 0..2 {
            assert_eq!(push(&queue, Normal, "a"), Pushed::Waits);
            assert_eq!(push(&queue, Normal, "b"), Pushed::Waits);
        }
        assert_eq!(push(&queue, Normal, "c"), first);
    }
}
