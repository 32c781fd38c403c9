//! The story, as data: what happens, and what must be seen after it.

use std::fmt;

use crate::csi::status::OK;

const A: &str = "node-a";
const B: &str = "node-b";
/// What gRPC calls the answer to a publish of a volume that another node holds.
const FAILED_PRECONDITION: &str = "FAILED_PRECONDITION";

/// Results of what machines do; those of CSI calls are gRPC codes.
pub(super) mod result {
    pub(crate) const CONNECTED: &str = "connected";
    pub(crate) const DISCONNECTED: &str = "disconnected";
    pub(crate) const REFUSED: &str = "refused";
    pub(crate) const NO_DEVICE: &str = "no device";
    pub(crate) const WRITTEN: &str = "written";
    pub(crate) const QUEUED: &str = "queued";
    pub(crate) const DONE: &str = "done";
    /// The story asks for what it has not got, such as names it was never told.
    pub(crate) const IMPOSSIBLE: &str = "impossible";
}
use result::{CONNECTED, DISCONNECTED, DONE, NO_DEVICE, QUEUED, REFUSED, WRITTEN};

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Identity Probe, until it says ready.
    Probe,
    /// CreateVolume.
    Create,
    /// ControllerPublishVolume to a node.
    Publish(&'static str),
    /// ControllerUnpublishVolume from a node.
    Unpublish(&'static str),
    /// ControllerExpandVolume to twice the size.
    Expand,
    /// DeleteVolume.
    Delete,
    /// The node stages as its plugin does: with what it was told, after removing what is older.
    Stage(&'static str),
    /// The node unstages.
    Unstage(&'static str),
    /// An application on the node writes.
    Write(&'static str),
    /// The node loses its network.
    CutOff(&'static str),
    /// The node's network is back; its kernel reconnects with the names it has, as it always does.
    Heal(&'static str),
    /// The node connects with what it was told last and removes nothing: a careless plugin.
    Careless(&'static str),
    /// The node connects with the whole pair of its earlier attachment.
    OldPair(&'static str),
    /// The node connects to the subsystem of now under the host name of its earlier attachment.
    OldHost(&'static str),
    /// Somebody gives the volume the earlier names of a node by hand, on the RDS.
    Sabotage(&'static str),
}

/// Something that happens, and what must be seen then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) act: Act,
    /// The gRPC code, or one of [`result`].
    pub(super) result: &'static str,
    /// What the details must say.
    pub(super) says: &'static str,
    /// The only node with a session afterwards.
    pub(super) writer: Option<&'static str>,
    /// The node is not the one that held the volume before, so it has to wait.
    pub(super) settled: bool,
    /// A word to the audience.
    pub(super) note: &'static str,
}

/// Steps under one heading.
#[derive(Debug)]
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) steps: Vec<Step>,
}

/// All of it. With `sabotage` the RDS is tampered with before the end, so that the referee has
/// something to see.
pub(super) fn chapters(sabotage: bool) -> Vec<Chapter> {
    let mut chapters = vec![one_holder(), moving(), cut_off()];
    if sabotage {
        chapters.push(sabotaged());
    }
    chapters.extend([comes_back(), the_end()]);
    chapters
}

fn one_holder() -> Chapter {
    Chapter {
        title: "One volume, one node",
        steps: vec![
            step(Act::Probe, OK).note("the controller has read the RDS, and what it can enforce"),
            step(Act::Create, OK).says("1 GiB"),
            step(Act::Publish(A), OK).says("fresh names"),
            step(Act::Stage(A), CONNECTED).writer(A),
            step(Act::Write(A), WRITTEN).writer(A),
            step(Act::Publish(B), FAILED_PRECONDITION).says(A).writer(A),
            step(Act::Publish(A), OK).says("the same names").writer(A),
        ],
    }
}

fn moving() -> Chapter {
    Chapter {
        title: "It moves, and grows while it is in use",
        steps: vec![
            step(Act::Unstage(A), DISCONNECTED),
            step(Act::Unpublish(A), OK),
            step(Act::Publish(B), OK).says("fresh names").settled(),
            step(Act::Stage(B), CONNECTED).writer(B),
            step(Act::Write(B), WRITTEN).writer(B),
            step(Act::Expand, OK).says("2 GiB").writer(B),
            step(Act::Unstage(B), DISCONNECTED),
            step(Act::Unpublish(B), OK),
        ],
    }
}

fn cut_off() -> Chapter {
    Chapter {
        title: "The attack, A -> B -> A: node-a is cut off with a write in its queue",
        steps: vec![
            step(Act::Publish(A), OK).says("fresh names").settled(),
            step(Act::Stage(A), CONNECTED).writer(A),
            step(Act::Write(A), WRITTEN).writer(A),
            step(Act::CutOff(A), DONE)
                .writer(A)
                .note("the RDS cannot know yet: its session is still there"),
            step(Act::Write(A), QUEUED)
                .writer(A)
                .note("its kernel keeps the write for as long as it takes"),
            step(Act::Unpublish(A), OK).note("a forced detach: node-a is not asked, the RDS cuts"),
            step(Act::Publish(B), OK).says("fresh names").settled(),
            step(Act::Stage(B), CONNECTED).writer(B),
            step(Act::Write(B), WRITTEN).writer(B),
            step(Act::Unstage(B), DISCONNECTED),
            step(Act::Unpublish(B), OK),
        ],
    }
}

fn sabotaged() -> Chapter {
    Chapter {
        title: "Sabotage: somebody gives the volume its old names back, by hand",
        steps: vec![
            step(Act::Sabotage(A), DONE),
            step(Act::Heal(A), REFUSED).note("what fresh names would have prevented"),
        ],
    }
}

fn comes_back() -> Chapter {
    Chapter {
        title: "The attack, continued: node-a gets the volume again, its old write still queued",
        steps: vec![
            step(Act::Publish(A), OK).says("fresh names").settled(),
            step(Act::Heal(A), REFUSED)
                .says("1 write waits")
                .note("its kernel asks for the old names, which nothing on the RDS has"),
            step(Act::Careless(A), NO_DEVICE)
                .says("1 write waits")
                .writer(A)
                .note("new names, old connection kept: the kernel has no path for the old write"),
            step(Act::Stage(A), CONNECTED)
                .says("1 write failed")
                .writer(A)
                .note("the old write ends as an error in its own application, not as data"),
            step(Act::OldPair(B), REFUSED).says("no export").writer(A),
            step(Act::OldHost(B), REFUSED)
                .says("does not allow")
                .writer(A),
            step(Act::Write(A), WRITTEN).writer(A),
        ],
    }
}

fn the_end() -> Chapter {
    Chapter {
        title: "The end",
        steps: vec![
            step(Act::Unstage(A), DISCONNECTED),
            step(Act::Unpublish(A), OK),
            step(Act::Delete, OK).says("nothing is left"),
        ],
    }
}

const fn step(act: Act, result: &'static str) -> Step {
    Step {
        act,
        result,
        says: "",
        writer: None,
        settled: false,
        note: "",
    }
}

// === impl Step ===

impl Step {
    /// A step of a volume that goes from node to node: it must succeed, and then `writer` writes.
    pub(super) const fn of_move(
        act: Act,
        result: &'static str,
        writer: Option<&'static str>,
    ) -> Self {
        Self {
            writer,
            ..step(act, result)
        }
    }

    pub(super) const fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    const fn writer(self, node: &'static str) -> Self {
        Self {
            writer: Some(node),
            ..self
        }
    }

    pub(super) const fn settled(self) -> Self {
        Self {
            settled: true,
            ..self
        }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

// === impl Act ===

impl Act {
    /// Whether it is a call to the controller.
    pub(super) const fn is_call(self) -> bool {
        matches!(
            self,
            Self::Probe
                | Self::Create
                | Self::Publish(_)
                | Self::Unpublish(_)
                | Self::Expand
                | Self::Delete
        )
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => f.write_str("Probe"),
            Self::Create => f.write_str("CreateVolume"),
            Self::Publish(node) => write!(f, "ControllerPublishVolume {node}"),
            Self::Unpublish(node) => write!(f, "ControllerUnpublishVolume {node}"),
            Self::Expand => f.write_str("ControllerExpandVolume"),
            Self::Delete => f.write_str("DeleteVolume"),
            Self::Stage(node) => write!(f, "  {node} stages"),
            Self::Unstage(node) => write!(f, "  {node} unstages"),
            Self::Write(node) => write!(f, "  {node} writes"),
            Self::CutOff(node) => write!(f, "  {node} loses its network"),
            Self::Heal(node) => write!(f, "  {node} has its network back"),
            Self::Careless(node) => write!(f, "  {node} connects, carelessly"),
            Self::OldPair(node) => write!(f, "  {node} replays its old pair"),
            Self::OldHost(node) => write!(f, "  {node} replays its old host name"),
            Self::Sabotage(node) => write!(f, "  the old names of {node} return"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(sabotage: bool) -> Vec<Step> {
        let chapters = chapters(sabotage).into_iter();
        chapters.flat_map(|chapter| chapter.steps).collect()
    }

    #[test]
    fn whoever_follows_another_node_has_to_wait() {
        let mut left = None;
        let mut waits = 0;
        for step in steps(false) {
            match step.act {
                Act::Unpublish(node) => left = Some(node),
                Act::Publish(node) if step.result == OK && !step.says.contains("same") => {
                    let expected = left.is_some_and(|left| left != node);
                    assert_eq!(step.settled, expected, "{:?}", step.act);
                    waits += usize::from(expected);
                }
                _ => {}
            }
        }
        assert_eq!(waits, 4);
    }

    #[test]
    fn the_story_begins_ready_and_ends_with_nothing_left() {
        let steps = steps(false);
        assert_eq!(steps.first().unwrap().act, Act::Probe);
        let last = steps.last().unwrap();
        assert_eq!((last.act, last.writer), (Act::Delete, None));
    }

    #[test]
    fn sabotage_adds_to_the_story_and_changes_nothing_of_it() {
        let honest: Vec<Act> = steps(false).iter().map(|step| step.act).collect();
        let mut tampered: Vec<Act> = steps(true).iter().map(|step| step.act).collect();
        let at = tampered
            .iter()
            .position(|act| matches!(act, Act::Sabotage(_)))
            .unwrap();
        tampered.drain(at..at + 2);
        assert_eq!(tampered, honest);
    }
}
