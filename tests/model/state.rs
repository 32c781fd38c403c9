//! One moment of the protocol: the register, the lines under way, who leads, what each node knows.

use super::names::{Name, Node, Register, SERIALS};
use super::programs::{Role, Verb};

/// Controller processes.
pub(crate) const PROCESSES: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) register: Register,
    /// Lines that the RDS has not finished, or whose reply is on its way.
    pub(crate) lines: Vec<Line>,
    pub(crate) machines: [Machine; 2],
    /// The VolumeAttachment of each node.
    pub(crate) claims: [Claim; 2],
    pub(crate) leaders: [Leader; PROCESSES],
    /// The process that began to lead last.
    pub(crate) latest: usize,
    pub(crate) left: Bounds,
    pub(crate) breach: Option<Breach>,
}

/// How often each kind of event may happen. Everything else may happen at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Publishes, unpublishes and repairs begun.
    pub(crate) calls: u8,
    /// Changes of leader.
    pub(crate) terms: u8,
    /// Replies that never come.
    pub(crate) losses: u8,
    /// Restarts of the RDS with the configuration of the volume's first day.
    pub(crate) restores: u8,
    /// Re-make lines sent.
    pub(crate) remakes: u8,
    /// Lines that run a second time.
    pub(crate) copies: u8,
}

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breach {
    TwoWriters,
    ReplayedWrite,
    OkUnderDeadEpoch,
    TwoLeaders,
}

/// One line sent to the RDS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// Who still waits for the reply.
    pub(crate) by: Option<usize>,
    pub(crate) verb: Verb,
    /// Subsystem and host name it expects.
    pub(crate) old: (Name, Name),
    /// The writing it brings.
    pub(crate) new: Name,
    /// Steps done.
    pub(crate) done: u8,
    /// The `find` of the next step matched; its `set` is still to come.
    pub(crate) found: bool,
    /// The read-back, on its way to whoever waits.
    pub(crate) back: Option<Register>,
}

/// A node's kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Machine {
    pub(crate) session: bool,
    /// Pairs it was told; it tries them for ever.
    pub(crate) known: Vec<Name>,
    /// Subsystem names under which writes may be queued.
    pub(crate) queues: Vec<Queue>,
}

/// Writes that were issued under a subsystem name and may be sent again through the next connection
/// to a subsystem of that name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Queue {
    pub(crate) subsystem: Name,
    /// A later attachment of another node has begun.
    pub(crate) overtaken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Absent,
    /// Not attached yet.
    Asked,
    /// Attached.
    Attached {
        /// As it stands in status.attachmentMetadata.
        pair: Name,
        /// That a line which brings the pair back was sent once is on record.
        remade: bool,
    },
    /// Being deleted: the node counts as holding until an Unpublish is done.
    Deleting,
}

/// What a controller process works on and remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leader {
    pub(crate) job: Job,
    /// The register as it was last read back; none after a lost reply.
    pub(crate) seen: Option<Register>,
    /// The pair it answered last.
    pub(crate) told: Option<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Idle,
    Publish(Node),
    Unpublish(Node),
    Repair(Node),
}

// === impl Bounds ===

impl Bounds {
    /// Nothing happens.
    pub(crate) const NONE: Self = Self {
        calls: 0,
        terms: 0,
        losses: 0,
        restores: 0,
        remakes: 0,
        copies: 0,
    };
}

// === impl Leader ===

impl Leader {
    pub(crate) const FRESH: Self = Self {
        job: Job::Idle,
        seen: None,
        told: None,
    };
}

// === impl Claim ===

impl Claim {
    /// The pair that the node goes on using, as long as nobody detaches it.
    pub(crate) fn told(self) -> Option<Name> {
        match self {
            Self::Attached { pair, .. } => Some(pair),
            Self::Absent | Self::Asked | Self::Deleting => None,
        }
    }
}

// === impl State ===

impl State {
    /// Node A was told a pair and used it, and the RDS has just restarted with the configuration of
    /// the volume's first day.
    pub(crate) fn grant_lost(bounds: Bounds) -> Self {
        let mut state = Self::first(bounds);
        let pair = Name::pair(0, 1);
        state.claims[0] = Claim::Attached {
            pair,
            remade: false,
        };
        state.machines[0].known.push(pair);
        state.machines[0].queues.push(Queue {
            subsystem: pair,
            overtaken: false,
        });
        state
    }

    /// A volume as it is created, before anybody asked for it.
    pub(crate) fn first(bounds: Bounds) -> Self {
        Self {
            register: Register::FIRST,
            lines: Vec::new(),
            machines: [Machine::default(), Machine::default()],
            claims: [Claim::Absent; 2],
            leaders: [Leader::FRESH; PROCESSES],
            latest: 0,
            left: bounds,
            breach: None,
        }
    }

    /// The device ends the sessions of the entry.
    pub(crate) fn end_sessions(&mut self) {
        for machine in &mut self.machines {
            machine.session = false;
        }
    }

    /// A serial that no name in this state has.
    pub(crate) fn fresh_serial(&self) -> usize {
        let mut used = 0;
        self.each_name(|name| used = used.max(name.serial()));
        let known = self.machines.iter().flat_map(|machine| &machine.known);
        known.fold(used, |used, name| used.max(name.serial())) + 1
    }

    /// Puts lines into an order that does not depend on how they came about.
    pub(crate) fn sort_lines(&mut self) {
        self.lines.sort_by_key(Line::order);
    }

    /// Gives states of equal future equal names: serials in order of appearance, and none for names
    /// that nothing can write again.
    ///
    /// Names are only ever compared for equality, so renaming changes no future. A pair that is in
    /// no register, line, claim or memory can never stand in the register again.
    pub(crate) fn rename(&mut self) {
        let mut serials = [None; SERIALS];
        serials[0] = Some(0);
        let mut next = 1;
        self.each_name(|name| {
            let serial = &mut serials[name.serial()];
            if serial.is_none() {
                *serial = Some(next);
                next += 1;
            }
        });
        for machine in &mut self.machines {
            machine
                .known
                .retain(|name| serials[name.serial()].is_some());
            machine
                .queues
                .retain(|queue| serials[queue.subsystem.serial()].is_some());
        }
        self.each_name_mut(|name| {
            *name = name.with_serial(serials[name.serial()].expect("every name was numbered"));
        });
        for machine in &mut self.machines {
            machine.known.sort_by_key(|name| name.byte());
            machine.queues.sort_by_key(|queue| queue.subsystem.byte());
        }
    }

    /// Names that can still have an effect, in an order that does not depend on them.
    fn each_name(&self, mut see: impl FnMut(Name)) {
        let mut register = |register: &Register| {
            see(register.subsystem);
            see(register.host);
        };
        register(&self.register);
        self.lines
            .iter()
            .filter_map(|line| line.back.as_ref())
            .for_each(&mut register);
        self.leaders
            .iter()
            .filter_map(|leader| leader.seen.as_ref())
            .for_each(&mut register);
        for line in &self.lines {
            see(line.old.0);
            see(line.old.1);
            see(line.new);
        }
        for leader in &self.leaders {
            leader.told.into_iter().for_each(&mut see);
        }
        for claim in self.claims {
            if let Claim::Attached { pair, .. } = claim {
                see(pair);
            }
        }
    }

    fn each_name_mut(&mut self, mut change: impl FnMut(&mut Name)) {
        let mut register = |register: &mut Register| {
            change(&mut register.subsystem);
            change(&mut register.host);
        };
        register(&mut self.register);
        self.lines
            .iter_mut()
            .filter_map(|line| line.back.as_mut())
            .for_each(&mut register);
        self.leaders
            .iter_mut()
            .filter_map(|leader| leader.seen.as_mut())
            .for_each(&mut register);
        for line in &mut self.lines {
            change(&mut line.old.0);
            change(&mut line.old.1);
            change(&mut line.new);
        }
        for leader in &mut self.leaders {
            leader.told.as_mut().map(&mut change);
        }
        for claim in &mut self.claims {
            if let Claim::Attached { pair, .. } = claim {
                change(pair);
            }
        }
        for machine in &mut self.machines {
            machine.known.iter_mut().for_each(&mut change);
            let queues = machine.queues.iter_mut();
            queues.for_each(|queue| change(&mut queue.subsystem));
        }
    }
}

impl Line {
    pub(crate) fn subsystem(&self, role: Role) -> Name {
        match role {
            Role::Old => self.old.0,
            Role::New => self.new,
        }
    }

    pub(crate) fn host(&self, role: Role) -> Name {
        match role {
            Role::Old => self.old.1,
            Role::New => self.new,
        }
    }

    /// Where the line stands among others, whatever names it carries.
    pub(super) fn order(&self) -> (u8, u8, u8, bool) {
        let by = self.by.map_or(0, |by| by + 1);
        (
            u8::try_from(by).expect("one of few processes"),
            self.verb as u8,
            self.done,
            self.found,
        )
    }
}
