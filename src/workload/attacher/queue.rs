//! Which object is next: each is worked on by one worker at a time, and a failed one waits longer
//! each time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A VolumeAttachment, by name.
    Attachment(String),
    /// A PersistentVolume, by name.
    Volume(String),
}

/// client-go's rate-limited work queue: keys that wait, once each, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Key>,
    running: BTreeSet<Key>,
    /// Added while they were being worked on: to be looked at again.
    changed: BTreeSet<Key>,
    failures: BTreeMap<Key, u32>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn add(&mut self, key: Key) {
        if self.running.contains(&key) {
            self.changed.insert(key);
        } else if !self.waiting.contains(&key) {
            self.waiting.push_back(key);
        }
    }

    /// The next key, if one of `workers` is free for it.
    pub(super) fn next(&mut self, workers: usize) -> Option<Key> {
        if self.running.len() >= workers {
            return None;
        }
        let key = self.waiting.pop_front()?;
        self.running.insert(key.clone());
        Some(key)
    }

    /// The worker is done with it.
    pub(super) fn done(&mut self, key: &Key) {
        self.running.remove(key);
        if let Some(changed) = self.changed.take(key) {
            self.waiting.push_back(changed);
        }
    }

    /// It went well: the next failure is the first one again.
    pub(super) fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    /// It failed: how long to wait before it is added again.
    pub(super) fn back_off(&mut self, key: &Key, first: Duration, longest: Duration) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let factor = 2_u32.saturating_pow(*failures);
        *failures = failures.saturating_add(1);
        first.saturating_mul(factor).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::Attachment(name.to_owned())
    }

    #[test]
    fn a_key_waits_once_and_is_worked_on_once() {
        let mut queue = Queue::default();
        for name in ["a", "b", "a"] {
            queue.add(key(name));
        }
        assert_eq!(queue.next(1), Some(key("a")));
        assert_eq!(queue.next(1), None, "the worker is busy");
        assert_eq!(queue.next(2), Some(key("b")));
        queue.add(key("a"));
        assert_eq!(queue.next(9), None, "it is being worked on");
        queue.done(&key("a"));
        assert_eq!(queue.next(9), Some(key("a")), "it changed meanwhile");
        queue.done(&key("a"));
        assert_eq!(queue.next(9), None);
    }

    #[test]
    fn each_failure_waits_twice_as_long_up_to_a_limit_until_it_goes_well() {
        let mut queue = Queue::default();
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(5));
        let mut wait = || queue.back_off(&key("a"), first, longest).as_secs();
        assert_eq!([wait(), wait(), wait(), wait(), wait()], [1, 2, 4, 5, 5]);
        queue.forget(&key("a"));
        assert_eq!(queue.back_off(&key("a"), first, longest), first);
    }
}
