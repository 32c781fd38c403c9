//! What a controller process does between two replies: the loops of `service/publish.rs` and
//! `service/rebuild.rs`, with claims as they stand in VolumeAttachments.

use super::ablation::Ablation;
use super::names::{Name, Node, OnPublish, OnUnpublish, Reading, Register};
use super::programs::Verb;
use super::protocol::Protocol;
use super::state::{Breach, Claim, Job, Leader, Line, State};

impl Protocol {
    /// A call comes in.
    pub(crate) fn begin(&self, state: &mut State, who: usize, job: Job) {
        match job {
            Job::Publish(node) if state.claims[node] == Claim::Absent => {
                state.claims[node] = Claim::Asked;
            }
            // Whether the node has let go or not: nothing of the claim brings its grant back.
            Job::Unpublish(node) if state.claims[node] != Claim::Absent => {
                state.claims[node] = Claim::Deleting;
            }
            Job::Publish(_) | Job::Unpublish(_) | Job::Repair(_) | Job::Idle => {}
        }
        state.leaders[who].job = job;
        self.go_on(state, who, None);
    }

    /// A reply comes in.
    pub(crate) fn take_reply(&self, state: &mut State, who: usize, line: Line, back: Register) {
        state.leaders[who].seen = Some(back);
        let brought =
            back.host == line.new && matches!(self.decisions.read(back), Reading::Granted(_));
        match (state.leaders[who].job, line.verb) {
            (Job::Publish(node), Verb::Publish | Verb::Reopen | Verb::Remake) if brought => {
                Self::answer(state, who, node, line.new);
            }
            _ => self.go_on(state, who, Some(back)),
        }
    }

    /// A reply will never come: what was last seen is worth nothing.
    pub(crate) fn lose_reply(&self, state: &mut State, who: usize) {
        state.leaders[who].seen = None;
        self.go_on(state, who, None);
    }

    fn go_on(&self, state: &mut State, who: usize, view: Option<Register>) {
        match state.leaders[who].job {
            Job::Idle => {}
            Job::Publish(node) => self.publish(state, who, node, view),
            Job::Unpublish(node) => self.unpublish(state, who, node, view),
            Job::Repair(node) => self.repair(state, who, node, view),
        }
    }

    fn publish(&self, state: &mut State, who: usize, node: Node, view: Option<Register>) {
        let Leader { seen, told, .. } = state.leaders[who];
        let expected = seen.filter(|seen| self.decisions.read(*seen) == Reading::Free);
        let Some(register) = view.or(expected) else {
            return Self::read(state, who);
        };
        let other = 1 - node;
        let pair = register.host;
        let counts = told == Some(pair) || state.claims[node].told() == Some(pair);
        let counts = view.is_some() && (counts || self.ablated(Ablation::UntoldAsItStands));
        if view.is_some() && self.is_usurped(state, who, register) {
            return Self::revoke(state, who, register);
        }
        match self.decisions.publish(register, node, counts) {
            OnPublish::Grant => match (state.claims[node], state.claims[other]) {
                // The other node's grant was lost: it comes back before anybody else is let in.
                (_, Claim::Attached { .. }) if !self.ablated(Ablation::ClaimIgnored) => {
                    Self::end(state, who);
                }
                (Claim::Attached { .. }, _) => self.remake(state, who, node, register),
                (Claim::Absent | Claim::Asked | Claim::Deleting, _) => {
                    let fresh = Name::pair(node, state.fresh_serial());
                    Self::send(state, who, Verb::Publish, register, fresh);
                }
            },
            OnPublish::AsItStands => Self::answer(state, who, node, pair),
            OnPublish::Reopen => Self::send(state, who, Verb::Reopen, register, pair),
            OnPublish::RevokeFirst => Self::revoke(state, who, register),
            OnPublish::HeldBy(holder) if state.claims[holder] == Claim::Absent => {
                Self::revoke(state, who, register);
            }
            OnPublish::HeldBy(_) => Self::end(state, who),
        }
    }

    fn unpublish(&self, state: &mut State, who: usize, node: Node, view: Option<Register>) {
        let worth_a_try = |seen: &Register| {
            self.decisions.unpublish(*seen, node) == OnUnpublish::Revoke
                && self.decisions.read(*seen) != Reading::Stray
        };
        let expected = state.leaders[who].seen.filter(worth_a_try);
        let Some(register) = view.or(expected) else {
            return Self::read(state, who);
        };
        if view.is_some() && self.decisions.read(register) == Reading::Free {
            state.leaders[who].told = None;
        }
        match self.decisions.unpublish(register, node) {
            OnUnpublish::Nothing => {
                // What external-attacher does once Unpublish has succeeded.
                if state.claims[node] == Claim::Deleting {
                    state.claims[node] = Claim::Absent;
                }
                Self::end(state, who);
            }
            OnUnpublish::Revoke => Self::revoke(state, who, register),
        }
    }

    /// Brings back a grant that the RDS lost and a claim still needs.
    fn repair(&self, state: &mut State, who: usize, node: Node, view: Option<Register>) {
        let others = state.claims[1 - node];
        let Some(told) = state.claims[node].told() else {
            return Self::end(state, who);
        };
        let Some(register) = view else {
            return Self::read(state, who);
        };
        let held = match self.decisions.read(register) {
            Reading::Granted(holder) | Reading::Prepared(holder) => Some(holder),
            Reading::Free | Reading::Stray => None,
        };
        if self.is_usurped(state, who, register) {
            return Self::revoke(state, who, register);
        }
        let taken = others.told().is_some()
            || held.is_some_and(|holder| holder != node && others != Claim::Absent);
        if taken && !self.ablated(Ablation::ClaimIgnored) {
            return Self::end(state, who);
        }
        match self.decisions.read(register) {
            Reading::Granted(_) if register.host == told => Self::end(state, who),
            Reading::Prepared(_) if register.host == told => {
                Self::send(state, who, Verb::Reopen, register, told);
            }
            Reading::Free => self.remake(state, who, node, register),
            Reading::Granted(_) | Reading::Prepared(_) | Reading::Stray => {
                Self::revoke(state, who, register);
            }
        }
    }

    /// A late line wrote a pair that nobody was told over the grant of a node that was told its own.
    fn is_usurped(&self, state: &State, who: usize, register: Register) -> bool {
        let (Reading::Granted(holder) | Reading::Prepared(holder)) = self.decisions.read(register)
        else {
            return false;
        };
        let told = [state.leaders[who].told, state.claims[holder].told()];
        !told.contains(&Some(register.host))
            && state.claims[1 - holder].told().is_some()
            && !self.ablated(Ablation::UntoldBeatsTold)
    }

    /// Publish answers OK: the node will know the pair, and the attacher writes it down.
    fn answer(state: &mut State, who: usize, node: Node, pair: Name) {
        if who != state.latest {
            state.breach = Some(Breach::OkUnderDeadEpoch);
        }
        let known = &mut state.machines[node].known;
        if !known.contains(&pair) {
            known.push(pair);
        }
        let told_before = state.claims[node].told() == Some(pair);
        if !told_before && !matches!(state.claims[node], Claim::Absent | Claim::Deleting) {
            let remade = false;
            state.claims[node] = Claim::Attached { pair, remade };
        }
        state.leaders[who].told = Some(pair);
        Self::end(state, who);
    }

    fn end(state: &mut State, who: usize) {
        state.leaders[who].job = Job::Idle;
    }

    fn read(state: &mut State, who: usize) {
        // A read carries no names; the first ones stand in for them.
        Self::send(state, who, Verb::Read, Register::FIRST, Name::FIRST);
    }

    fn revoke(state: &mut State, who: usize, held: Register) {
        let fresh = Name::free(state.fresh_serial());
        Self::send(state, who, Verb::Revoke, held, fresh);
    }

    /// Brings back the pair that a claim names, if the record can be made that this was tried.
    fn remake(&self, state: &mut State, who: usize, node: Node, free: Register) {
        let Claim::Attached { pair, remade } = state.claims[node] else {
            return Self::end(state, who);
        };
        if state.left.remakes == 0 || (remade && !self.ablated(Ablation::NoRecord)) {
            return Self::end(state, who);
        }
        state.left.remakes -= 1;
        let remade = !self.ablated(Ablation::NoRecord);
        state.claims[node] = Claim::Attached { pair, remade };
        Self::send(state, who, Verb::Remake, free, pair);
    }

    fn send(state: &mut State, who: usize, verb: Verb, old: Register, new: Name) {
        state.lines.push(Line {
            by: Some(who),
            verb,
            old: (old.subsystem, old.host),
            new,
            done: 0,
            found: false,
            back: None,
        });
    }
}
