//! The pods of the model: what a process leaves to the next one in its pod, and who holds its lock.

use super::super::{Election, HolderId, Predecessor, Tenure};
use super::world::{Happening, Process, World};

/// More processes than this and the frozen ones are the majority of what happens.
const MOST_PROCESSES: usize = 6;

/// What is believed about the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Held by one process until it is dead.
    Kept,
    /// The ablation: the file is made anew with the same content, so that a second process holds
    /// "the" lock while the first one lives.
    Recreated,
}

/// A pod's own file.
#[derive(Debug, Default, Clone)]
pub(super) struct Pod {
    /// The number of the process that holds the lock.
    holder: Option<u64>,
    tenure: Option<Tenure>,
}

impl World {
    /// A new process in this pod. The rules against crash loops are left out: they make short cuts
    /// rare, and a rare mistake is still one.
    pub(super) fn process(&mut self, pod: usize, booted: u64, skew: i64) -> Process {
        self.counter += 1;
        let number = self.counter;
        let uid = format!("{pod:08x}-6d2c-4c58-9d0a-2f8f0d9b7a11");
        let me = HolderId::of_process("pod", &uid, number).unwrap();
        let file = &mut self.pods[pod];
        let has_lock = file.holder.is_none() || self.lock == Lock::Recreated;
        let dead = file.tenure.as_ref().filter(|_| has_lock);
        if has_lock {
            file.holder = Some(number);
        }
        let dead = dead.filter(|tenure| me.succeeds(&tenure.holder));
        Process {
            election: Election::new(me, self.timing).with_predecessor(dead.map(Predecessor::of)),
            pod,
            has_lock,
            booted,
            skew,
            paused_until: 0,
            call: None,
            number,
            next_step: 0,
        }
    }

    /// What the driver does before it carries out an intent.
    pub(super) fn leave_record(&mut self, index: usize) {
        let process = &self.processes[index];
        let on_record = &mut self.pods[process.pod].tenure;
        let tenure = process.election.tenure();
        let is_ours = on_record
            .as_ref()
            .is_some_and(|tenure| tenure.holder == process.election.me);
        if process.has_lock && (tenure.is_some() || is_ours) {
            *on_record = tenure;
        }
    }

    /// The process dies, and the next one begins in the same pod. What the old one sent is still on
    /// its way.
    pub(super) fn restart(&mut self, index: usize) {
        let Process {
            pod,
            booted,
            skew,
            number,
            ..
        } = self.processes[index];
        self.minted.retain(|(process, ..)| *process != number);
        if self.pods[pod].holder == Some(number) {
            self.pods[pod].holder = None;
        }
        self.processes[index] = self.process(pod, booted, skew);
        let after = self.now + 1 + self.roll(3_000);
        self.at(after, Happening::Step(index));
    }

    /// The process is frozen, and the next one begins in the same pod all the same.
    pub(super) fn freeze(&mut self, index: usize, pause: u64) {
        if self.processes.len() == MOST_PROCESSES {
            return;
        }
        let process = &mut self.processes[index];
        process.paused_until = self.now + pause;
        let (pod, booted, skew) = (process.pod, process.booted, process.skew);
        let twin = self.process(pod, booted, skew);
        self.processes.push(twin);
        let after = self.now + 1 + self.roll(3_000);
        self.at(after, Happening::Step(self.processes.len() - 1));
    }
}
