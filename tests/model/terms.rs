//! Three processes that run the driver's `Election` over one Lease, with boot clocks that tick, calls
//! that take any time, and a lock file in the pod that processes 0 and 1 share.
//!
//! Nobody has to act: a process that is frozen, for however long, is one that takes no turn.

use super::ablation::Ablation;
use super::elections::{Elections, Id, Known, LAST_TICK, Lease, Refused, Told, Want};
use super::state::PROCESSES;

/// What may happen how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Patience {
    /// The last tick there is.
    pub(crate) ticks: u8,
    /// Calls on the Lease whose answer never comes.
    pub(crate) losses: u8,
    /// Ticks for which one clock stands still.
    pub(crate) stops: u8,
    /// Process 0 is killed.
    pub(crate) kills: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub(crate) now: u8,
    pub(crate) lease: Lease,
    pub(crate) processes: [Process; PROCESSES],
    /// Writes that their senders do not wait for any more, and that may yet arrive.
    pub(crate) late: Vec<Call>,
    pub(crate) left: Patience,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) election: Id,
    /// Ticks that its clock has missed.
    behind: u8,
    pub(crate) dead: bool,
    call: Option<Call>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    who: usize,
    want: Want,
    sent: u8,
    answer: Option<Result<Lease, Refused>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time passes; on one clock perhaps not.
    Tick(Option<usize>),
    /// A process asks its election what to do, and begins to.
    Turn(usize),
    /// Its call takes effect.
    Arrive(usize),
    /// It gets the answer.
    Answer(usize),
    /// It stops waiting for one.
    GiveUp(usize),
    ArriveLate(usize),
    /// It has read every register.
    ReadRds(usize),
    Kill(usize),
    /// A replacement that holds the lock takes the Lease from its predecessor without waiting.
    ShortCut(usize),
}

/// The rules of the election, whole or with one missing.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) elections: Elections,
    pub(crate) ablation: Option<Ablation>,
    /// A look at the Lease and its answer are two events.
    pub(crate) looks_take_time: bool,
}

// === impl Terms ===

impl Terms {
    pub(crate) fn clock(&self, who: usize) -> u8 {
        self.now - self.processes[who].behind
    }
}

// === impl Rules ===

impl Rules {
    /// Process 0 has just begun to lead, and the others have seen that.
    pub(crate) fn first(&self, left: Patience) -> Terms {
        let process = |who| Process {
            election: Elections::first(who),
            behind: 0,
            dead: false,
            call: None,
        };
        let mut terms = Terms {
            now: 0,
            lease: Lease {
                version: 1,
                holder: Lease::NOBODY,
                transitions: 0,
                epoch: 0,
            },
            processes: std::array::from_fn(process),
            late: Vec::new(),
            left,
        };
        let mut play = |script: &[Event]| {
            for event in script {
                self.happen(&mut terms, *event);
            }
        };
        let look = |who| [Event::Turn(who), Event::Arrive(who), Event::Answer(who)];
        let slow = if self.looks_take_time { 3 } else { 1 };
        play(&look(0)[..slow]);
        play(&look(0));
        play(&[Event::ReadRds(0)]);
        play(&look(1)[..slow]);
        play(&look(2)[..slow]);
        assert!(self.known(&terms, 0).led, "{terms:?}");
        terms
    }

    pub(crate) fn known(&self, terms: &Terms, who: usize) -> Known {
        self.elections.known(terms.processes[who].election)
    }

    /// Whether a process would serve a call now.
    pub(crate) fn serves(&self, terms: &Terms, who: usize) -> bool {
        let known = self.known(terms, who);
        let in_time = known.leading >> terms.clock(who) & 1 == 1;
        !terms.processes[who].dead && (in_time || (known.led && self.is(Ablation::NoDeadline)))
    }

    /// Whether two processes hold valid permits.
    pub(crate) fn two_lead(&self, terms: &Terms) -> bool {
        let holds = |who: &usize| {
            let elected = self.known(terms, *who).elected;
            !terms.processes[*who].dead && elected >> terms.clock(*who) & 1 == 1
        };
        (0..PROCESSES).filter(holds).count() > 1
    }

    fn is(&self, ablation: Ablation) -> bool {
        self.ablation == Some(ablation)
    }

    /// A clock may stand still unless a term is measured by it.
    fn may_stand_still(&self, terms: &Terms, who: usize) -> bool {
        let writes = terms.processes[who]
            .call
            .is_some_and(|call| call.want != Want::Look);
        let leads = self.known(terms, who).elected >> terms.clock(who) & 1 == 1;
        terms.left.stops > 0 && (!(writes || leads) || self.is(Ablation::LeadersClockStops))
    }

    fn has_lock(&self, terms: &Terms, who: usize) -> bool {
        who == 1 && (terms.processes[0].dead || self.is(Ablation::LockRecreated))
    }

    pub(crate) fn offer(&self, terms: &Terms, who: usize, events: &mut Vec<Event>) {
        let process = terms.processes[who];
        if process.dead {
            return;
        }
        let Some(call) = process.call else {
            if self.known(terms, who).reads {
                events.push(Event::ReadRds(who));
            }
            let asked = self
                .elections
                .tell(process.election, terms.clock(who), Told::Asked);
            if asked != (process.election, Want::Nothing) && asked.1 != Want::End {
                events.push(Event::Turn(who));
            }
            let waits = !self.known(terms, who).led && terms.lease.holder == 0;
            if waits && self.has_lock(terms, who) {
                events.push(Event::ShortCut(who));
            }
            return;
        };
        events.push(match call.answer {
            None => Event::Arrive(who),
            Some(_) => Event::Answer(who),
        });
        if terms.left.losses > 0 && call.want != Want::Look {
            events.push(Event::GiveUp(who));
        }
    }

    /// What concerns no process in particular.
    pub(crate) fn offer_world(&self, terms: &Terms, events: &mut Vec<Event>) {
        if terms.now < terms.left.ticks {
            events.push(Event::Tick(None));
            let stopping = (0..PROCESSES).filter(|who| self.may_stand_still(terms, *who));
            events.extend(stopping.map(|who| Event::Tick(Some(who))));
        }
        if terms.left.kills > 0 && !terms.processes[0].dead {
            events.push(Event::Kill(0));
        }
        events.extend((0..terms.late.len()).map(Event::ArriveLate));
    }

    pub(crate) fn happen(&self, terms: &mut Terms, event: Event) {
        match event {
            Event::Tick(stopped) => {
                assert!(terms.now < LAST_TICK, "a bit for each tick");
                terms.now += 1;
                if let Some(who) = stopped {
                    terms.processes[who].behind += 1;
                    terms.left.stops -= 1;
                }
            }
            Event::Turn(who) => self.turn(terms, who),
            Event::Arrive(who) => {
                let mut call = terms.processes[who].call.expect("a call is under way");
                call.answer = Some(serve(&mut terms.lease, call));
                terms.processes[who].call = Some(call);
            }
            Event::Answer(who) => self.answer(terms, who),
            Event::GiveUp(who) => {
                terms.left.losses -= 1;
                let call = terms.processes[who]
                    .call
                    .take()
                    .expect("a call is under way");
                if call.answer.is_none() {
                    terms.late.push(call);
                }
                self.tell(terms, who, Told::Written(call.sent, Err(Refused::Lost)));
            }
            Event::ArriveLate(index) => {
                let call = terms.late.remove(index);
                let _nobody_waits = serve(&mut terms.lease, call);
            }
            Event::ReadRds(who) => self.tell(terms, who, Told::ReadRds),
            Event::Kill(who) => {
                terms.left.kills -= 1;
                let process = &mut terms.processes[who];
                process.dead = true;
                terms
                    .late
                    .extend(process.call.take().filter(|call| call.answer.is_none()));
            }
            Event::ShortCut(who) => {
                // The Lease now names the replacement. The rest is what an election makes of a
                // Lease that names it although it does not lead.
                terms.lease.version += 1;
                terms.lease.transitions += 1;
                terms.lease.holder = who;
                self.tell(terms, who, Told::Seen(terms.lease));
            }
        }
    }

    fn tell(&self, terms: &mut Terms, who: usize, told: Told) {
        let tick = terms.clock(who);
        let process = &mut terms.processes[who];
        process.election = self.elections.tell(process.election, tick, told).0;
    }

    fn turn(&self, terms: &mut Terms, who: usize) {
        let sent = terms.clock(who);
        let process = &mut terms.processes[who];
        let (election, want) = self.elections.tell(process.election, sent, Told::Asked);
        process.election = election;
        match want {
            Want::Nothing | Want::End => {}
            Want::Look if !self.looks_take_time => self.tell(terms, who, Told::Seen(terms.lease)),
            Want::Look | Want::Acquire { .. } | Want::Renew { .. } => {
                let answer = None;
                process.call = Some(Call {
                    who,
                    want,
                    sent,
                    answer,
                });
            }
        }
    }

    fn answer(&self, terms: &mut Terms, who: usize) {
        let call = terms.processes[who]
            .call
            .take()
            .expect("a call is under way");
        let answer = call.answer.expect("it was served");
        let sent = if self.is(Ablation::DeadlineFromReply) {
            terms.clock(who)
        } else {
            call.sent
        };
        let told = match (call.want, answer) {
            (Want::Look, Ok(lease)) => Told::Seen(lease),
            _ => Told::Written(sent, answer),
        };
        self.tell(terms, who, told);
    }
}

/// What the API server does with a call: all or nothing, by the version it expects.
fn serve(lease: &mut Lease, call: Call) -> Result<Lease, Refused> {
    let Call { who, want, .. } = call;
    match want {
        Want::Acquire { expecting, epoch } if expecting == lease.version => {
            lease.version += 1;
            lease.transitions += 1;
            lease.holder = who;
            lease.epoch = epoch;
        }
        Want::Acquire { .. } => return Err(Refused::Conflict),
        Want::Renew { .. } if lease.holder != who => return Err(Refused::NotHeld(*lease)),
        Want::Renew { epoch } => {
            lease.version += 1;
            lease.epoch = epoch;
        }
        Want::Look | Want::Nothing | Want::End => {}
    }
    Ok(*lease)
}
