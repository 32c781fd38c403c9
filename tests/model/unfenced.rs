//! Fencing mode `controller`: nothing on the device keeps a second node out, so who may connect is
//! known to the leader alone, and after a change of leader to nobody but the VolumeAttachments.

use stateright::{Model, Property};

use super::names::{NODES, Node};
use super::search::Tale;
use super::state::Breach;

/// Which claims a new leader takes for attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rebuild {
    /// All that external-attacher has put its finalizer on, until Unpublish is done in this term.
    Reserve,
    /// Ablation: those with `attached=true`.
    AttachedOnly,
    /// Ablation: those that are not being deleted.
    DeletingIsGone,
}

#[derive(Clone, Copy)]
pub(crate) struct Unfenced {
    pub(crate) rebuild: Rebuild,
    /// Attachments made.
    pub(crate) asks: u8,
    /// Changes of leader.
    pub(crate) terms: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Moment {
    attachments: [Attachment; 2],
    /// What the leader knows: the nodes that it must take for users of the volume.
    holders: [bool; 2],
    asks: u8,
    terms: u8,
    breach: bool,
}

/// A VolumeAttachment and its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Attachment {
    Absent,
    /// The finalizer is there; `attached` is false.
    Asked,
    /// Publish was answered OK, and external-attacher has not yet written that down.
    Answered,
    /// `attached` is true: the node may connect whenever it likes.
    Attached,
    Connected,
    /// The node has let go and will not connect again; deletion has begun.
    Deleting {
        /// Unpublish was answered OK; the finalizer is still there.
        done: bool,
    },
    /// The same, and the node has not let go: its pod was deleted by force.
    DeletingInUse,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Ask(Node),
    Publish(Node),
    Record(Node),
    Connect(Node),
    LetGo(Node),
    DeleteInUse(Node),
    Unpublish(Node),
    Remove(Node),
    ChangeLeader,
}

// === impl Unfenced ===

impl Unfenced {
    fn reserves(self, attachment: Attachment) -> bool {
        match attachment {
            Attachment::Absent => false,
            Attachment::Asked | Attachment::Answered => self.rebuild != Rebuild::AttachedOnly,
            Attachment::Attached | Attachment::Connected => true,
            Attachment::Deleting { .. } | Attachment::DeletingInUse => {
                self.rebuild != Rebuild::DeletingIsGone
            }
        }
    }
}

impl Model for Unfenced {
    type State = Moment;
    type Action = Action;

    fn init_states(&self) -> Vec<Moment> {
        vec![Moment {
            attachments: [Attachment::Absent; 2],
            holders: [false; 2],
            asks: self.asks,
            terms: self.terms,
            breach: false,
        }]
    }

    fn actions(&self, moment: &Moment, actions: &mut Vec<Action>) {
        for node in NODES {
            match moment.attachments[node] {
                Attachment::Absent if moment.asks > 0 => actions.push(Action::Ask(node)),
                Attachment::Absent => {}
                Attachment::Asked if moment.holders[1 - node] => {}
                Attachment::Asked => actions.push(Action::Publish(node)),
                Attachment::Answered => actions.push(Action::Record(node)),
                Attachment::Attached => {
                    actions.extend([Action::Connect(node), Action::LetGo(node)]);
                }
                Attachment::Connected => {
                    actions.extend([Action::LetGo(node), Action::DeleteInUse(node)]);
                }
                Attachment::Deleting { done: true } => actions.push(Action::Remove(node)),
                Attachment::Deleting { done: false } => actions.push(Action::Unpublish(node)),
                // Nothing can cut it off, so Unpublish waits for the node: it says so and fails.
                Attachment::DeletingInUse => actions.push(Action::LetGo(node)),
            }
        }
        if moment.terms > 0 {
            actions.push(Action::ChangeLeader);
        }
    }

    fn next_state(&self, last: &Moment, action: Action) -> Option<Moment> {
        let mut next = last.clone();
        let become_of = |next: &mut Moment, node: Node, what| next.attachments[node] = what;
        match action {
            Action::Ask(node) => {
                next.asks -= 1;
                become_of(&mut next, node, Attachment::Asked);
            }
            Action::Publish(node) => {
                next.holders[node] = true;
                become_of(&mut next, node, Attachment::Answered);
            }
            Action::Record(node) => become_of(&mut next, node, Attachment::Attached),
            Action::Connect(node) => {
                become_of(&mut next, node, Attachment::Connected);
                let other = next.attachments[1 - node];
                let in_use = [Attachment::Connected, Attachment::DeletingInUse];
                next.breach |= in_use.contains(&other);
            }
            Action::LetGo(node) => become_of(&mut next, node, Attachment::Deleting { done: false }),
            Action::DeleteInUse(node) => become_of(&mut next, node, Attachment::DeletingInUse),
            Action::Unpublish(node) => {
                next.holders[node] = false;
                become_of(&mut next, node, Attachment::Deleting { done: true });
            }
            Action::Remove(node) => become_of(&mut next, node, Attachment::Absent),
            Action::ChangeLeader => {
                next.terms -= 1;
                next.holders = next.attachments.map(|attachment| self.reserves(attachment));
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("safe", |_: &Self, moment: &Moment| {
            !moment.breach
        })]
    }
}

impl Tale for Unfenced {
    fn for_people(&self) -> Self {
        *self
    }

    fn tell(&self, _: &Moment, action: Action) -> String {
        let letter = |node: Node| ["A", "B"][node];
        match action {
            Action::Ask(node) => format!("{} is to have the volume", letter(node)),
            Action::Publish(node) => format!("Publish to {} is answered OK", letter(node)),
            Action::Record(node) => format!("{}: attached=true", letter(node)),
            Action::Connect(node) => format!("{} connects", letter(node)),
            Action::LetGo(node) => format!("{} lets go; deletion begins", letter(node)),
            Action::DeleteInUse(node) => format!("{}: deletion begins by force", letter(node)),
            Action::Unpublish(node) => format!("Unpublish from {} is answered OK", letter(node)),
            Action::Remove(node) => format!("{}: the finalizer is taken off", letter(node)),
            Action::ChangeLeader => "another process leads".to_owned(),
        }
    }

    fn show(&self, moment: &Moment) -> String {
        let [a, b] = moment.attachments;
        format!("A {a:?}, B {b:?}, reserved {:?}", moment.holders)
    }

    fn breach(&self, moment: &Moment) -> Option<Breach> {
        moment.breach.then_some(Breach::TwoWriters)
    }
}

mod tests {
    use super::{Rebuild, Unfenced};
    use crate::MOST;
    use crate::model::search::search;

    fn steps_to_two_writers(rebuild: Rebuild) -> Option<usize> {
        let (asks, terms) = (4, 3);
        let model = Unfenced {
            rebuild,
            asks,
            terms,
        };
        let outcome = search(&format!("unfenced, {rebuild:?}"), &model, MOST);
        let found = outcome.counterexample.map(|found| found.steps.len());
        assert!(found.is_some() || outcome.exhausted, "{rebuild:?}");
        found
    }

    #[test]
    fn claims_that_reserve_keep_a_second_writer_out() {
        assert_eq!(steps_to_two_writers(Rebuild::Reserve), None);
    }

    #[test]
    fn a_rebuild_that_ignores_attached_false_lets_a_second_writer_in() {
        assert_eq!(steps_to_two_writers(Rebuild::AttachedOnly), Some(9));
    }

    #[test]
    fn a_rebuild_that_ignores_attachments_being_deleted_lets_a_second_writer_in() {
        assert_eq!(steps_to_two_writers(Rebuild::DeletingIsGone), Some(10));
    }
}
