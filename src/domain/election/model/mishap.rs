//! What goes wrong in the model, besides the network.

use std::time::Duration;

use super::super::{Event, Hold, HolderId};
use super::world::{Happening, World};
use crate::domain::leadership::BootTime;

impl World {
    pub(super) fn mishap(&mut self) {
        if self.calm {
            return;
        }
        let index = self.some_process();
        let pause = self.roll(30_000);
        let process = &mut self.processes[index];
        let now = process.clock(self.now);
        match self.roll(15) {
            0 | 1 => self.processes[index].paused_until = self.now + pause,
            2 => self.restart(index),
            3 => self.tell(index, Event::Stop, now),
            4 => self.tell(index, Event::RdsLost, now),
            5 | 6 => self.at(self.now, Happening::RdsRead(index, now)),
            7 => {
                self.register.lease = None;
                // What left a name on the RDS is known for ever; the rest is forgotten.
                let rds = self.rds;
                self.traces.retain(|epoch| *epoch <= rds);
            }
            8 => self.register.edit(|lease| lease.hold = Hold::Nobody),
            9 => self
                .register
                .edit(|lease| lease.hold = Hold::Held(HolderId::from_record("me").unwrap())),
            10 => self
                .register
                .edit(|lease| lease.lasts = Some(Duration::from_secs(1 << 40))),
            11 => self.register.edit(|lease| lease.lasts = None),
            // The rest is aimed at who leads: the others have little to lose.
            12 => self.freeze(self.leading().unwrap_or(index), pause),
            _ => self.restart(self.leading().unwrap_or(index)),
        }
        let next = self.now + 500 + self.roll(20_000);
        self.at(next, Happening::Mishap);
    }

    fn some_process(&mut self) -> usize {
        let count = u64::try_from(self.processes.len()).unwrap();
        usize::try_from(self.roll(count)).unwrap()
    }

    fn tell(&mut self, index: usize, event: Event, now: BootTime) {
        if self.processes[index].paused_until > self.now {
            return;
        }
        let chance = self.dice();
        self.processes[index].election.on(event, now, chance);
        self.note(index);
        self.step(index);
    }
}
