//! Election and grants in one: a process may act on grants while its own election says that it leads.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::ablation::Ablation;
use super::elections::Elections;
use super::names::Register;
use super::protocol::{self, Protocol, Start};
use super::search::Tale;
use super::state::{Bounds, Breach, PROCESSES, State};
use super::terms::{Event, Patience, Rules, Terms};

#[derive(Clone)]
pub(crate) struct Joint {
    protocol: Protocol,
    rules: Rules,
    patience: Patience,
    /// The third process stands by until the second has led: which of them is first is a name only.
    in_turn: bool,
    breaches: &'static [Breach],
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct Moment {
    pub(crate) grants: State,
    pub(crate) terms: Terms,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Grant(protocol::Action),
    Term(Event),
}

// === impl Joint ===

impl Joint {
    /// Calls are served while the election goes on around them.
    pub(crate) fn new(
        ablation: Option<Ablation>,
        start: Start,
        bounds: Bounds,
        patience: Patience,
        breaches: &'static [Breach],
    ) -> Self {
        Self {
            protocol: Protocol::new(ablation, start, bounds, breaches),
            rules: Rules {
                elections: Elections::new(),
                ablation,
                looks_take_time: false,
            },
            patience,
            in_turn: true,
            breaches,
        }
    }

    /// Nobody calls: the election alone, with every event of its own.
    pub(crate) fn election(
        ablation: Option<Ablation>,
        patience: Patience,
        looks_take_time: bool,
    ) -> Self {
        let bounds = Bounds::NONE;
        let mut joint = Self::new(ablation, Start::Created, bounds, patience, TWO_LEADERS);
        joint.rules.looks_take_time = looks_take_time;
        joint.in_turn = false;
        joint
    }

    /// How many states of the real election came up.
    pub(crate) fn elections(&self) -> usize {
        self.rules.elections.count()
    }

    fn acting(&self, terms: &Terms) -> [bool; PROCESSES] {
        std::array::from_fn(|who| self.rules.serves(terms, who))
    }

    /// Joins the halves: who begins to lead, begins afresh; who does not lead any more, does nothing.
    fn follow(&self, moment: &mut Moment, before: &Terms) {
        for who in 0..PROCESSES {
            let led = self.rules.known(before, who).led;
            if self.rules.known(&moment.terms, who).led && !led {
                Protocol::lead(&mut moment.grants, who);
            }
            if self.rules.serves(before, who) && !self.rules.serves(&moment.terms, who) {
                self.protocol.stop(&mut moment.grants, who);
            }
        }
        let looked_for = self.breaches.contains(&Breach::TwoLeaders);
        if looked_for && self.rules.two_lead(&moment.terms) {
            moment.grants.breach = Some(Breach::TwoLeaders);
        }
        self.protocol.tidy(&mut moment.grants);
    }
}

const TWO_LEADERS: &[Breach] = &[Breach::TwoLeaders];

impl Model for Joint {
    type State = Moment;
    type Action = Action;

    fn init_states(&self) -> Vec<Moment> {
        let terms = self.rules.first(self.patience);
        let grants = self.protocol.init_states().into_iter();
        grants
            .map(|grants| Moment {
                grants,
                terms: terms.clone(),
            })
            .collect()
    }

    fn actions(&self, moment: &Moment, actions: &mut Vec<Action>) {
        let Moment { grants, terms } = moment;
        let mut events = Vec::new();
        for who in 0..PROCESSES {
            if who < 2 || !self.in_turn || grants.latest > 0 {
                self.rules.offer(terms, who, &mut events);
            }
        }
        self.rules.offer_world(terms, &mut events);
        actions.extend(events.into_iter().map(Action::Term));
        let mut offered = Vec::new();
        self.protocol
            .offer(grants, self.acting(terms), &mut offered);
        actions.extend(offered.into_iter().map(Action::Grant));
    }

    fn next_state(&self, last: &Moment, action: Action) -> Option<Moment> {
        match action {
            Action::Grant(action) => Some(Moment {
                grants: self.protocol.next_state(&last.grants, action)?,
                terms: last.terms.clone(),
            }),
            Action::Term(event) => {
                let mut next = last.clone();
                self.rules.happen(&mut next.terms, event);
                self.follow(&mut next, &last.terms);
                Some(next)
            }
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("safe", |joint: &Self, moment: &Moment| {
            let breach = moment.grants.breach;
            breach.is_none_or(|breach| !joint.breaches.contains(&breach))
        })]
    }
}

impl Tale for Joint {
    fn for_people(&self) -> Self {
        let mut joint = self.clone();
        joint.protocol = joint.protocol.for_people();
        joint
    }

    fn tell(&self, moment: &Moment, action: Action) -> String {
        match action {
            Action::Grant(action) => self.protocol.tell(&moment.grants, action),
            Action::Term(event) => told(event),
        }
    }

    fn show(&self, moment: &Moment) -> String {
        let terms = &moment.terms;
        let serving: BTreeSet<_> = (0..PROCESSES)
            .filter(|who| self.rules.serves(terms, *who))
            .collect();
        let shown = match moment.grants.register {
            Register::FIRST => String::new(),
            _ => self.protocol.show(&moment.grants),
        };
        let (now, holder) = (terms.now, terms.lease.holder);
        format!("tick {now}, Lease of {holder}, leading {serving:?} {shown}")
    }

    fn breach(&self, moment: &Moment) -> Option<Breach> {
        moment.grants.breach
    }
}

fn told(event: Event) -> String {
    match event {
        Event::Tick(None) => "time passes".to_owned(),
        Event::Tick(Some(who)) => format!("time passes, but not on the clock of process {who}"),
        Event::Turn(who) => format!("process {who} asks its election what to do"),
        Event::Arrive(who) => format!("process {who}: its call reaches the API server"),
        Event::Answer(who) => format!("process {who}: the answer arrives"),
        Event::GiveUp(who) => format!("process {who} waits for the answer no longer"),
        Event::ArriveLate(_) => "a call that nobody waits for reaches the API server".to_owned(),
        Event::ReadRds(who) => format!("process {who} has read the RDS"),
        Event::Kill(who) => format!("process {who} is killed"),
        Event::ShortCut(who) => format!("process {who} holds the lock and takes the Lease"),
    }
}
