//! The world around the candidates: the register, the network, the clocks, and what goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Election, End, Event, Failure, Intent, LeaseView, Standing, Timing};
use super::pod::{Lock, Pod};
use super::register::{Call, Read, Register, Served};
use crate::domain::error::Error;
use crate::domain::leadership::{BootTime, Epoch, Leadership};

pub(super) const MINUTE: u64 = 60_000;

/// A candidate's process, and the machine below it.
pub(super) struct Process {
    pub(super) election: Election,
    pub(super) pod: usize,
    pub(super) has_lock: bool,
    /// How long its machine has been up at time 0, in milliseconds.
    pub(super) booted: u64,
    /// What its time of day is off by, in milliseconds.
    pub(super) skew: i64,
    pub(super) paused_until: u64,
    /// The call it waits for.
    pub(super) call: Option<u64>,
    /// Counts processes: leaderships belong to one.
    pub(super) number: u64,
    /// When it was last woken for a reason of its own.
    pub(super) next_step: u64,
}

#[derive(Debug)]
pub(super) enum Happening {
    Step(usize),
    Arrive(usize, u64, Call),
    /// The call has read the Lease and goes on to write.
    Read(usize, u64, Call),
    Answer(usize, u64, Event),
    Watch(usize, Option<LeaseView>),
    RdsRead(usize, BootTime),
    Mishap,
}

/// Everything there is.
pub(super) struct World {
    pub(super) now: u64,
    dice: u64,
    pub(super) timing: Timing,
    pub(super) lock: Lock,
    pub(super) pods: [Pod; 3],
    pub(super) calm: bool,
    agenda: BTreeMap<(u64, u64), Happening>,
    pub(super) counter: u64,
    pub(super) register: Register,
    pub(super) rds: Epoch,
    pub(super) processes: Vec<Process>,
    /// Every leadership ever published, with its process and what that machine's clock is ahead.
    pub(super) minted: Vec<(u64, u64, Arc<Leadership>)>,
    /// Epochs that were led at and left a trace, on the Lease or the RDS.
    pub(super) traces: Vec<Epoch>,
    /// Processes that have led, and at which epoch.
    terms: Vec<(u64, Epoch)>,
    /// How often a short cut was tried.
    pub(super) short_cuts: usize,
    /// Two processes led at once, both of them awake: only ever where the lock is not kept.
    pub(super) two_led: bool,
    trace: Vec<(u64, usize, String)>,
}

impl World {
    pub(super) fn new(seed: u64, skews: [i64; 3], timing: Timing, lock: Lock) -> Self {
        let mut world = Self {
            now: 0,
            dice: seed,
            timing,
            lock,
            pods: Default::default(),
            calm: false,
            agenda: BTreeMap::new(),
            counter: 0,
            register: Register::new(timing.lease()),
            rds: Epoch::ZERO,
            processes: Vec::new(),
            minted: Vec::new(),
            traces: Vec::new(),
            terms: Vec::new(),
            short_cuts: 0,
            two_led: false,
            trace: Vec::new(),
        };
        world.rds = Epoch::from_record(world.roll(3));
        for (index, skew) in skews.into_iter().enumerate() {
            let booted = world.roll(1_000_000);
            let process = world.process(index, booted, skew);
            world.processes.push(process);
            world.at(0, Happening::Step(index));
        }
        world.at(5_000, Happening::Mishap);
        world
    }

    pub(super) fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((now, _), happening) = entry.remove_entry();
            self.now = now;
            self.happen(happening);
            self.check();
        }
        self.now = end;
    }

    /// From now on the network is quick and nothing goes wrong.
    pub(super) fn calm(&mut self) {
        self.calm = true;
    }

    pub(super) fn leaders(&self) -> usize {
        self.processes
            .iter()
            .filter(|process| self.leads(process))
            .count()
    }

    /// Which process leads.
    pub(super) fn leading(&self) -> Option<usize> {
        self.processes
            .iter()
            .position(|process| self.leads(process))
    }

    fn leads(&self, process: &Process) -> bool {
        match process.election.standing() {
            Standing::Leading(leadership) => leadership.check(process.clock(self.now)).is_ok(),
            _ => false,
        }
    }

    pub(super) fn terms(&self) -> usize {
        self.terms.len()
    }

    pub(super) fn trace(&self) -> &[(u64, usize, String)] {
        &self.trace
    }

    // --- dice and agenda ---

    pub(super) fn dice(&mut self) -> u64 {
        // splitmix64: small, and its bits are good enough to choose delays with.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.dice() % below
    }

    /// Mostly some milliseconds; sometimes seconds; rarely longer than any deadline.
    fn delay(&mut self) -> u64 {
        match self.roll(40) {
            0 if !self.calm => self.roll(25_000),
            1..4 if !self.calm => self.roll(3_000),
            _ => 1 + self.roll(50),
        }
    }

    pub(super) fn at(&mut self, time: u64, happening: Happening) {
        self.counter += 1;
        self.agenda.insert((time, self.counter), happening);
    }

    // --- what happens ---

    fn happen(&mut self, happening: Happening) {
        let index = match happening {
            Happening::Step(index)
            | Happening::Answer(index, ..)
            | Happening::Watch(index, _)
            | Happening::Read(index, ..)
            | Happening::RdsRead(index, _) => index,
            Happening::Arrive(index, id, call) => return self.arrive(index, id, call),
            Happening::Mishap => return self.mishap(),
        };
        let paused_until = self.processes[index].paused_until;
        if paused_until > self.now {
            return self.at(paused_until, happening);
        }
        let chance = self.dice();
        let there = self.delay();
        let process = &mut self.processes[index];
        let now = process.clock(self.now);
        let event = match happening {
            Happening::Read(_, id, call) => {
                if process.call == Some(id) {
                    self.at(self.now + there, Happening::Arrive(index, id, call));
                }
                return;
            }
            Happening::Answer(_, id, event) if process.call == Some(id) => {
                process.call = None;
                event
            }
            Happening::Watch(_, view) => Event::Watched(view),
            Happening::RdsRead(_, sent) => Event::RdsRead {
                highest: self.rds,
                sent,
            },
            _ => Event::Tick,
        };
        process.election.on(event, now, chance);
        self.note(index);
        self.step(index);
    }

    pub(super) fn step(&mut self, index: usize) {
        let process = &mut self.processes[index];
        if process.call.is_some() {
            return;
        }
        let now = process.clock(self.now);
        let what = process.election.intent(now);
        self.leave_record(index);
        let process = &mut self.processes[index];
        match &what {
            Intent::Wait { until } => {
                let time = self.now + u64::try_from(now.until(*until).as_millis()).unwrap() + 1;
                if process.next_step != time {
                    process.next_step = time;
                    self.at(time, Happening::Step(index));
                }
            }
            Intent::End(end) => {
                let ended = end.clone();
                self.trace.push((self.now, index, format!("{ended:?}")));
                assert!(
                    self.lock == Lock::Recreated
                        || !matches!(ended, End::Lost(super::super::Loss::Superseded(_))),
                    "a leader met a later epoch"
                );
                self.restart(index);
            }
            _ => self.send(index, now, what),
        }
    }

    fn send(&mut self, index: usize, sent: BootTime, what: Intent) {
        self.trace.push((self.now, index, format!("{what:?}")));
        self.short_cuts += usize::from(matches!(what, Intent::Succeed { .. }));
        let (there, limit) = (self.delay(), self.timing.call());
        self.counter += 1;
        let id = self.counter;
        let process = &mut self.processes[index];
        process.call = Some(id);
        let wall = i64::try_from(self.now).unwrap() + process.skew;
        let call = Call {
            sent,
            who: process.election.me.clone(),
            wall: wall.to_string(),
            what,
            read: Read::Nothing,
        };
        let unanswered = call.answer(Err(Failure::Call(Error::bug("no answer"))));
        self.at(self.now + there, Happening::Arrive(index, id, call));
        let limit_at = self.now + u64::try_from(limit.as_millis()).unwrap();
        self.at(limit_at, Happening::Answer(index, id, unanswered));
    }

    /// A call reaches the API server, perhaps long after its sender gave up or died.
    fn arrive(&mut self, index: usize, id: u64, call: Call) {
        let before = self.register.lease.clone();
        let back = self.delay();
        let lost = !self.calm && self.roll(20) == 0;
        let next = match self.register.serve(call) {
            Served::Read(call) => Happening::Read(index, id, call),
            Served::Done(answer) => Happening::Answer(index, id, answer),
        };
        if self.register.lease != before {
            for watcher in 0..self.processes.len() {
                let late = self.delay();
                let lost = !self.calm && self.roll(10) == 0;
                if !lost {
                    let view = self.register.lease.clone();
                    self.at(self.now + late, Happening::Watch(watcher, view));
                }
            }
        }
        if !lost {
            self.at(self.now + back, next);
        }
    }

    // --- what must hold ---

    /// Notes the leadership that a process now has, and lets it read and mark the RDS.
    pub(super) fn note(&mut self, index: usize) {
        self.leave_record(index);
        let process = &self.processes[index];
        let (number, now, booted) = (process.number, process.clock(self.now), process.booted);
        let (leadership, leads) = match process.election.standing() {
            Standing::Elected(leadership) => (leadership, false),
            Standing::Leading(leadership) => (leadership, true),
            Standing::Offering => return self.reads_later(index, now, 12_000),
            Standing::Following { .. } | Standing::Ended(_) => return,
        };
        if !leads {
            self.reads_later(index, now, 2_000);
        }
        let epoch = leadership.epoch();
        if !self
            .minted
            .iter()
            .any(|(_, _, known)| Arc::ptr_eq(known, &leadership))
        {
            self.minted.push((number, booted, leadership));
        }
        if leads && !self.terms.contains(&(number, epoch)) {
            self.terms.push((number, epoch));
            let highest = self.traces.iter().copied().max();
            assert!(
                highest.is_none_or(|highest| epoch > highest) && epoch > self.rds,
                "epoch {epoch:?} after {highest:?} with {:?} on the RDS",
                self.rds
            );
            let lease = self.register.lease.as_ref();
            let on_the_lease = lease.is_some_and(|lease| lease.epoch >= epoch);
            let names_written = self.roll(2) == 0;
            if names_written {
                self.rds = epoch;
            }
            if on_the_lease || names_written {
                self.traces.push(epoch);
            }
        }
    }

    fn reads_later(&mut self, index: usize, now: BootTime, within: u64) {
        let later = self.now + self.roll(within);
        self.at(later, Happening::RdsRead(index, now));
    }

    fn check(&mut self) {
        let valid: Vec<u64> = self
            .minted
            .iter()
            .filter(|(_, booted, leadership)| {
                let now = BootTime::new(Duration::from_millis(self.now + booted));
                leadership.check(now).is_ok()
            })
            .map(|(number, ..)| *number)
            .collect();
        if valid.windows(2).all(|pair| pair[0] == pair[1]) {
            return;
        }
        let now = self.now;
        assert!(
            self.lock == Lock::Recreated,
            "two leaders at {now} ms: processes {valid:?}"
        );
        let awake = |process: &&Process| process.paused_until <= now && self.leads(process);
        self.two_led |= self.processes.iter().filter(awake).count() > 1;
    }
}

impl Process {
    pub(super) fn clock(&self, now: u64) -> BootTime {
        BootTime::new(Duration::from_millis(now + self.booted))
    }
}
