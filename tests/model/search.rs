//! Runs a search and tells what it found.

use std::fmt;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::names::{NODES, Node};
use super::protocol::{Action, Naming, Protocol};
use super::state::{Breach, Job, Line, State};

/// What a search came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Different states seen.
    pub(crate) states: usize,
    /// Every state within the bounds was seen.
    pub(crate) exhausted: bool,
    /// The shortest way to the breach.
    pub(crate) counterexample: Option<Counterexample>,
}

/// A way from the start to a breach.
#[derive(Debug)]
pub(crate) struct Counterexample {
    pub(crate) breach: Breach,
    /// What happened, and what stood in the register afterwards.
    pub(crate) steps: Vec<String>,
}

/// Searches breadth first, through at most `most` transitions. One thread, so that what is found first is the shortest.
pub(crate) fn search(title: &str, protocol: &Protocol, most: usize) -> Outcome {
    let began = Instant::now();
    let checker = protocol
        .clone()
        .checker()
        .finish_when(HasDiscoveries::Any)
        .target_state_count(most)
        .spawn_bfs()
        .join();
    let counterexample = checker
        .discovery("safe")
        .map(|path| retell(protocol, path.into_actions()));
    let outcome = Outcome {
        states: checker.unique_state_count(),
        exhausted: counterexample.is_none() && checker.state_count() < most,
        counterexample,
    };
    println!(
        "{title}: {} states ({} transitions), deepest {}, {:.1} s: {}",
        outcome.states,
        checker.state_count(),
        checker.max_depth() - 1,
        began.elapsed().as_secs_f32(),
        outcome.verdict()
    );
    for (number, step) in outcome
        .counterexample
        .iter()
        .flat_map(|found| &found.steps)
        .enumerate()
    {
        println!("  {:2}. {step}", number + 1);
    }
    outcome
}

impl Outcome {
    fn verdict(&self) -> String {
        match &self.counterexample {
            Some(found) => format!("{:?} after {} steps", found.breach, found.steps.len()),
            None if self.exhausted => "no breach, all states within the bounds seen".to_owned(),
            None => "gave up".to_owned(),
        }
    }
}

/// Walks the way again with names that keep their numbers.
fn retell(protocol: &Protocol, actions: Vec<Action>) -> Counterexample {
    let mut protocol = protocol.clone();
    protocol.naming = Naming::Lasting;
    let mut state = protocol.init_states().remove(0);
    let mut steps = Vec::new();
    for action in actions {
        let what = told(&protocol, &state, action);
        let next = protocol.next_state(&state, action);
        state = next.expect("the search went this way");
        let sessions: String = NODES
            .into_iter()
            .filter(|node| state.machines[*node].session)
            .map(letter)
            .collect();
        steps.push(format!("{what:<75} {} {sessions}", state.register));
    }
    Counterexample {
        breach: state.breach.expect("the search ended at a breach"),
        steps,
    }
}

fn told(protocol: &Protocol, state: &State, action: Action) -> String {
    let line = |index: usize| state.lines[index];
    match action {
        Action::Call(who, job) => {
            let who = ["leader", "deposed leader"][who];
            match job {
                Job::Publish(node) => format!("{who}: Publish to {}", letter(node)),
                Job::Unpublish(node) => format!("{who}: Unpublish from {}", letter(node)),
                Job::Repair(node) => format!("{who}: repair of {}'s grant", letter(node)),
                Job::Idle => format!("{who}: nothing"),
            }
        }
        Action::Step(index) => {
            let all = protocol.programs.steps(line(index).verb).len();
            let at = usize::from(line(index).done) + 1;
            let what = match line(index).found {
                true => "set",
                false if at > all => "read-back",
                false => "find",
            };
            format!("{}: step {at}, {what}", line(index))
        }
        Action::Reply(index) => format!("{}: its reply arrives", line(index)),
        Action::LoseReply(index) => format!("{}: nobody waits for it any more", line(index)),
        Action::ChangeLeader => "another process leads".to_owned(),
        Action::Restore => "the RDS restarts with the volume's first configuration".to_owned(),
        Action::ForceDetach(node) => {
            format!("{}'s VolumeAttachment is deleted by force", letter(node))
        }
        Action::Connect(node) => format!("{} connects by itself", letter(node)),
    }
}

fn letter(node: Node) -> &'static str {
    ["A", "B"][node]
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by.is_none() {
            f.write_str("late ")?;
        }
        let verb = format!("{:?}", self.verb).to_lowercase();
        let (subsystem, host) = self.old;
        write!(f, "{verb}({subsystem}, {host} -> {})", self.new)
    }
}
