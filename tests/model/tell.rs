//! The protocol in words, for counterexamples.

use std::fmt;

use super::names::{NODES, Node};
use super::protocol::{Action, Naming, Protocol};
use super::search::Tale;
use super::state::{Breach, Job, Line, State};

impl Tale for Protocol {
    fn for_people(&self) -> Self {
        let mut protocol = self.clone();
        protocol.naming = Naming::Lasting;
        protocol
    }

    fn tell(&self, state: &State, action: Action) -> String {
        told(self, state, action)
    }

    fn show(&self, state: &State) -> String {
        let sessions: String = NODES
            .into_iter()
            .filter(|node| state.machines[*node].session)
            .map(letter)
            .collect();
        format!("{} {sessions}", state.register)
    }

    fn breach(&self, state: &State) -> Option<Breach> {
        state.breach
    }
}

fn told(protocol: &Protocol, state: &State, action: Action) -> String {
    let line = |index: usize| state.lines[index];
    match action {
        Action::Call(who, job) => {
            let who = format!("process {who}");
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
        Action::Copy(index) => format!("{}: it will run once more", line(index)),
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
