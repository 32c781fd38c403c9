//! What can happen next: calls, single steps of lines, replies and their loss, changes of leader,
//! restarts of the RDS, and nodes that connect by themselves.

use rds_csi::domain::grant::FencingMode;
use stateright::{Model, Property};

use super::names::{Decisions, NODES, Name, Node, Register};
use super::programs::{Fields, Programs, Verb};
use super::state::{Bounds, Breach, Claim, DEPOSED, IN_FORCE, Job, Leader, Line, Queue, State};

/// One rule taken out of the protocol, or one promise taken out of the device or put into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ablation {
    /// No step of a line looks at the names.
    NoCondition,
    /// A pair that nobody can say was told is answered as it stands.
    UntoldAsItStands,
    /// Publish and re-make open without having cut.
    NoCutBeforeOpen,
    /// A re-make writes both names in one step.
    RemakeInOneStep,
    /// Every grant of a volume has the same subsystem name.
    KeptSubsystem,
    /// A revoke takes the names back and leaves the export on.
    NoCutInRevoke,
    /// Nothing ever turns the export off: names go from node to node while exported.
    NoCut,
    /// The device does not end sessions when an export goes off.
    SessionsOutliveExport,
    /// A process goes on after its term, and answers.
    NoDeadline,
    /// Calls are served over a register that the RDS lost, before the claim on it is brought back.
    ClaimIgnored,
    /// Nothing comes between a `find` and its `set`.
    AtomicSet,
}

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

    fn calls(&self, state: &State, actions: &mut Vec<Action>) {
        // Until somebody has called, the nodes are each other's mirror image.
        let untouched = self.start == Start::Created && state.left.calls == self.bounds.calls;
        for who in [IN_FORCE, DEPOSED] {
            let in_force = who == IN_FORCE || self.ablated(Ablation::NoDeadline);
            if state.leaders[who].job != Job::Idle || state.left.calls == 0 || !in_force {
                continue;
            }
            for node in NODES.into_iter().take(if untouched { 1 } else { 2 }) {
                actions.push(Action::Call(who, Job::Publish(node)));
                actions.push(Action::Call(who, Job::Unpublish(node)));
                if matches!(state.claims[node], Claim::Attached(_)) {
                    actions.push(Action::Call(who, Job::Repair(node)));
                }
            }
        }
    }

    fn lines(state: &State, actions: &mut Vec<Action>) {
        for (index, line) in state.lines.iter().enumerate() {
            if line.back.is_some() {
                actions.push(Action::Reply(index));
            } else {
                actions.push(Action::Step(index));
            }
            if line.by.is_some() && line.verb != Verb::Read && state.left.losses > 0 {
                actions.push(Action::LoseReply(index));
            }
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

    fn change_leader(&self, state: &mut State) {
        let goes_on = self.ablated(Ablation::NoDeadline);
        self.abandon(state, |line| !goes_on || line.by == Some(DEPOSED));
        for line in &mut state.lines {
            line.by = line.by.map(|_| DEPOSED);
        }
        if goes_on {
            state.leaders[DEPOSED] = state.leaders[IN_FORCE];
        }
        state.leaders[IN_FORCE] = Leader::FRESH;
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
        self.calls(state, actions);
        Self::lines(state, actions);
        if state.left.terms > 0 {
            actions.push(Action::ChangeLeader);
        }
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
            Action::LoseReply(index) => {
                state.left.losses -= 1;
                let line = state.lines[index];
                let who = line.by?;
                self.abandon(&mut state, |other| other.by == Some(who));
                self.lose_reply(&mut state, who);
            }
            Action::ChangeLeader => {
                state.left.terms -= 1;
                self.change_leader(&mut state);
            }
            Action::Restore => {
                state.left.restores -= 1;
                self.restore(&mut state);
            }
            Action::ForceDetach(node) => state.claims[node] = Claim::Absent,
            Action::Connect(node) => Self::connect(&mut state, node),
        }
        state.sort_lines();
        if self.naming == Naming::Shortest {
            state.rename();
        }
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
