//! What can happen next: calls, single steps of lines, replies and their loss, changes of leader,
//! restarts of the RDS, and nodes that connect by themselves.

use rds_csi::domain::grant::FencingMode;
use stateright::{Model, Property};

use super::ablation::Ablation;
use super::names::{Decisions, NODES, Name, Node, Register};
use super::programs::{Fields, Programs, Verb};
use super::state::{Bounds, Breach, Claim, Job, Leader, Line, PROCESSES, Queue, State};

/// Where a search begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// A volume that nobody has asked for yet.
    Created,
    /// Node A held the volume when the RDS restarted with its first configuration.
    GrantLost,
}

/// How names are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    /// Anew in every state, so that like states are one.
    Shortest,
    /// Once for all, for people.
    Lasting,
}

/// The protocol, whole or with one rule missing.
#[derive(Clone)]
pub(crate) struct Protocol {
    pub(crate) decisions: Decisions,
    pub(crate) programs: Programs,
    pub(crate) naming: Naming,
    mode: FencingMode,
    ablation: Option<Ablation>,
    start: Start,
    bounds: Bounds,
    /// What is looked for.
    breaches: &'static [Breach],
}

/// What can happen. Lines are given by their place in the state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Call(usize, Job),
    Step(usize),
    Reply(usize),
    LoseReply(usize),
    /// The line will run a second time, whatever becomes of the first.
    Copy(usize),
    ChangeLeader,
    Restore,
    ForceDetach(Node),
    Connect(Node),
}

// === impl Protocol ===

impl Protocol {
    pub(crate) fn new(
        ablation: Option<Ablation>,
        start: Start,
        bounds: Bounds,
        breaches: &'static [Breach],
    ) -> Self {
        let mode = match ablation {
            Some(Ablation::KeptSubsystem) => FencingMode::HostNqn,
            _ => FencingMode::Pair,
        };
        let programs = Programs::of(mode);
        let programs = match ablation {
            Some(Ablation::NoCondition) => programs.without_conditions(),
            Some(Ablation::NoCutBeforeOpen) => programs.without_cut_before_open(),
            Some(Ablation::RemakeInOneStep) => programs.with_remake_in_one_step(),
            Some(Ablation::NoCutInRevoke) => programs.without_cut_in_revoke(),
            Some(Ablation::NoCut) => programs.without_any_cut(),
            _ => programs,
        };
        Self {
            decisions: Decisions::of(mode, ablation == Some(Ablation::NoCut)),
            programs,
            naming: Naming::Shortest,
            mode,
            ablation,
            start,
            bounds,
            breaches,
        }
    }

    pub(crate) fn ablated(&self, ablation: Ablation) -> bool {
        self.ablation == Some(ablation)
    }

    /// Which processes may act: the one that began to lead last, or any that ever led.
    fn acting(&self, state: &State) -> [bool; PROCESSES] {
        std::array::from_fn(|who| {
            who == state.latest || (who < state.latest && self.ablated(Ablation::NoDeadline))
        })
    }

    /// Everything but a change of leader.
    pub(crate) fn offer(
        &self,
        state: &State,
        acting: [bool; PROCESSES],
        actions: &mut Vec<Action>,
    ) {
        self.calls(state, acting, actions);
        self.lines(state, actions);
        if state.left.restores > 0 {
            actions.push(Action::Restore);
        }
        for node in NODES {
            if state.claims[node] != Claim::Absent {
                actions.push(Action::ForceDetach(node));
            }
            if self.may_connect(state, node) {
                actions.push(Action::Connect(node));
            }
        }
    }

    fn calls(&self, state: &State, acting: [bool; PROCESSES], actions: &mut Vec<Action>) {
        // Until somebody has called, the nodes are each other's mirror image.
        let untouched = self.start == Start::Created && state.left.calls == self.bounds.calls;
        for who in (0..PROCESSES).filter(|who| acting[*who]) {
            if state.leaders[who].job != Job::Idle || state.left.calls == 0 {
                continue;
            }
            for node in NODES.into_iter().take(if untouched { 1 } else { 2 }) {
                actions.push(Action::Call(who, Job::Publish(node)));
                actions.push(Action::Call(who, Job::Unpublish(node)));
                if state.claims[node].told().is_some() {
                    actions.push(Action::Call(who, Job::Repair(node)));
                }
            }
        }
    }

    fn lines(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, line) in state.lines.iter().enumerate() {
            if line.back.is_some() {
                actions.push(Action::Reply(index));
            } else {
                actions.push(Action::Step(index));
            }
            let changes = line.by.is_some() && line.verb != Verb::Read;
            if changes && state.left.losses > 0 {
                actions.push(Action::LoseReply(index));
            }
            // A copy may wait for ever, so it is enough to make one while the line is new.
            let fresh = line.done == 0 && !line.found;
            if changes && fresh && self.may_run_twice(line.verb) && state.left.copies > 0 {
                actions.push(Action::Copy(index));
            }
        }
    }

    /// Makes states of equal future equal.
    pub(crate) fn tidy(&self, state: &mut State) {
        state.sort_lines();
        if self.naming == Naming::Shortest {
            state.rename();
        }
    }

    /// A line that writes a pair runs at most once, or is in one step what it is.
    fn may_run_twice(&self, verb: Verb) -> bool {
        self.ablated(Ablation::AtomicSet)
            || match verb {
                Verb::Read | Verb::Revoke | Verb::Reopen => true,
                Verb::Publish => self.ablated(Ablation::PublishCopied),
                Verb::Remake => self.ablated(Ablation::RemakeCopied),
            }
    }

    /// One step of a line: the `find` of a conditional step, its `set`, or the read-back.
    fn step(&self, state: &mut State, index: usize) {
        let steps = self.programs.steps(state.lines[index].verb);
        let line = &mut state.lines[index];
        match steps.get(usize::from(line.done)) {
            None => line.back = Some(state.register),
            Some(step) if line.found => {
                line.found = false;
                line.done += 1;
                let line = *line;
                self.set(state, line, step.to);
            }
            Some(step) => {
                line.found = finds(*line, step.when, state.register);
                // A `set` of nothing changes nothing, whenever it comes.
                line.done += u8::from(!line.found);
                if line.found && self.ablated(Ablation::AtomicSet) {
                    return self.step(state, index);
                }
            }
        }
        let line = state.lines[index];
        if line.by.is_none() && usize::from(line.done) >= steps.len() {
            state.lines.remove(index);
        }
    }

    fn set(&self, state: &mut State, line: Line, to: Fields) {
        let register = &mut state.register;
        if let Some(role) = to.subsystem {
            register.subsystem = line.subsystem(role);
        }
        if let Some(role) = to.host {
            register.host = line.host(role);
        }
        if let Some(exported) = to.exported {
            register.exported = exported;
            if !exported && !self.ablated(Ablation::SessionsOutliveExport) {
                state.end_sessions();
            }
        }
    }

    /// Nobody waits for these lines any more; they go on.
    fn abandon(&self, state: &mut State, which: impl Fn(&Line) -> bool) {
        for line in state.lines.iter_mut().filter(|line| which(line)) {
            line.by = None;
            line.back = None;
        }
        state.lines.retain(|line| {
            line.by.is_some() || usize::from(line.done) < self.programs.steps(line.verb).len()
        });
    }

    /// `next` begins to lead.
    pub(crate) fn lead(state: &mut State, next: usize) {
        state.latest = next;
        state.leaders[next] = Leader::FRESH;
    }

    /// A process does nothing any more; the lines it sent go on.
    pub(crate) fn stop(&self, state: &mut State, who: usize) {
        self.abandon(state, |line| line.by == Some(who));
        state.leaders[who] = Leader::FRESH;
    }

    /// The RDS restarts with the configuration of the volume's first day.
    fn restore(&self, state: &mut State) {
        state.register = Register::FIRST;
        state.end_sessions();
        self.abandon(state, |_| true);
        for leader in &mut state.leaders {
            leader.job = Job::Idle;
            leader.seen = None;
        }
    }

    /// The subsystem name of a pair in this mode.
    fn subsystem_of(&self, pair: Name) -> Name {
        match self.mode {
            FencingMode::HostNqn => Name::FIRST,
            _ => pair,
        }
    }

    fn may_connect(&self, state: &State, node: Node) -> bool {
        let Register {
            subsystem,
            host,
            exported,
        } = state.register;
        let machine = &state.machines[node];
        exported
            && !machine.session
            && machine.known.contains(&host)
            && self.subsystem_of(host) == subsystem
    }

    fn connect(state: &mut State, node: Node) {
        let subsystem = state.register.subsystem;
        state.machines[node].session = true;
        let queues = &mut state.machines[node].queues;
        match queues.iter().find(|queue| queue.subsystem == subsystem) {
            Some(queue) if queue.overtaken => state.breach = Some(Breach::ReplayedWrite),
            Some(_) => {}
            None => queues.push(Queue {
                subsystem,
                overtaken: false,
            }),
        }
        let others = &mut state.machines[1 - node];
        for queue in &mut others.queues {
            queue.overtaken = true;
        }
        if others.session {
            state.breach = Some(Breach::TwoWriters);
        }
    }
}

/// Whether the register is as a step wants it.
fn finds(line: Line, when: Fields, register: Register) -> bool {
    let subsystem = |role| line.subsystem(role) == register.subsystem;
    let host = |role| line.host(role) == register.host;
    when.subsystem.is_none_or(subsystem)
        && when.host.is_none_or(host)
        && when
            .exported
            .is_none_or(|wanted| wanted == register.exported)
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![match self.start {
            Start::Created => State::first(self.bounds),
            Start::GrantLost => State::grant_lost(self.bounds),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.offer(state, self.acting(state), actions);
        if state.left.terms > 0 {
            actions.push(Action::ChangeLeader);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Call(who, job) => {
                state.left.calls -= 1;
                self.begin(&mut state, who, job);
            }
            Action::Step(index) => self.step(&mut state, index),
            Action::Reply(index) => {
                let line = state.lines.remove(index);
                self.take_reply(&mut state, line.by?, line, line.back?);
            }
            Action::Copy(index) => {
                state.left.copies -= 1;
                let line = state.lines[index];
                state.lines.push(Line { by: None, ..line });
            }
            Action::LoseReply(index) => {
                state.left.losses -= 1;
                let line = state.lines[index];
                let who = line.by?;
                self.abandon(&mut state, |other| other.by == Some(who));
                self.lose_reply(&mut state, who);
            }
            Action::ChangeLeader => {
                state.left.terms -= 1;
                if !self.ablated(Ablation::NoDeadline) {
                    let former = state.latest;
                    self.stop(&mut state, former);
                }
                let next = state.latest + 1;
                Self::lead(&mut state, next);
            }
            Action::Restore => {
                state.left.restores -= 1;
                self.restore(&mut state);
            }
            Action::ForceDetach(node) => state.claims[node] = Claim::Absent,
            Action::Connect(node) => Self::connect(&mut state, node),
        }
        self.tidy(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(
            "safe",
            |protocol: &Self, state: &State| {
                state
                    .breach
                    .is_none_or(|breach| !protocol.breaches.contains(&breach))
            },
        )]
    }
}
