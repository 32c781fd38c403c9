//! What an event says to the people who run the cluster.
//!
//! Kubernetes never changes the note of an event, it only counts repetitions. So a note holds what
//! stays true when the same happens again: both nodes, what to do, and of a duration the step of a
//! ladder that it stayed within. What differs each time (epoch, exact duration, trace) is an
//! annotation, and shows the last time.

use std::time::Duration;

use crate::domain::event::What;
use crate::domain::grant::FencingMode;

/// Whether somebody should look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Severity {
    /// All is as it should be.
    Normal,
    /// Something is refused, lost, or not as safe as it should be.
    Warning,
}

/// The words of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) severity: Severity,
    /// A word in PascalCase by which people filter.
    pub(super) reason: &'static str,
    /// What was being done.
    pub(super) action: &'static str,
    /// The sentence.
    pub(super) note: String,
    /// How long it took, to the millisecond.
    pub(super) took: Option<Duration>,
}

/// The API refuses a longer note. Two nodes of 253 characters fit into each of ours.
const MAX_NOTE: usize = 1024;

/// The steps of a duration in a note, in milliseconds: each about twice the one before it, so that
/// a fabric in its usual state says the same each time.
const LADDER: [u64; 9] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

// === impl Severity ===

impl Severity {
    /// The `type` of an event.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

// === impl Notice ===

impl Notice {
    /// The words for what happened.
    pub(super) fn of(what: &What) -> Self {
        let (severity, reason, action) = heading(what);
        Self {
            severity,
            reason,
            action,
            note: clip(sentence(what), MAX_NOTE),
            took: match what {
                What::VolumeAttached { took, .. } | What::LeaderElected { took } => Some(*took),
                _ => None,
            },
        }
    }
}

const fn heading(what: &What) -> (Severity, &'static str, &'static str) {
    use Severity::{Normal, Warning};
    match what {
        What::AttachmentConflict { .. } => (Warning, "AttachmentConflict", "Attach"),
        What::VolumeAttached { .. } => (Normal, "VolumeAttached", "Attach"),
        What::VolumeDetached { .. } => (Normal, "VolumeDetached", "Detach"),
        What::StaleAttachmentCleared { .. } => (Normal, "StaleAttachmentCleared", "Detach"),
        What::MigrationStarted { .. } => (Normal, "MigrationStarted", "Migrate"),
        What::MigrationCompleted { .. } => (Normal, "MigrationCompleted", "Migrate"),
        What::MigrationFailed { .. } => (Warning, "MigrationFailed", "Migrate"),
        What::GrantRepaired { .. } => (Normal, "GrantRepaired", "Reconcile"),
        What::GrantLost { .. } => (Warning, "GrantLost", "Reconcile"),
        What::OrphanFound { .. } => (Warning, "OrphanFound", "Reconcile"),
        What::FencingDegraded { .. } => (Warning, "FencingDegraded", "Probe"),
        What::LeaderElected { .. } => (Normal, "LeaderElected", "Elect"),
    }
}

fn sentence(what: &What) -> String {
    match what {
        What::AttachmentConflict { holder, asking, .. } => format!(
            "Cannot attach to node {asking}: the volume is attached to node {holder}, and no more may \
             have it at a time. Delete or scale down the pod on {holder}; or, if that machine is \
             off for certain, taint its node with \
             node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
        ),
        What::VolumeAttached { node, took, .. } => {
            format!("Attached to node {node} within {}", step(*took))
        }
        What::VolumeDetached { node, .. } => match node {
            Some(node) => format!("Detached from node {node}, which can no longer reach it"),
            None => "Detached from every node; none can reach it".to_owned(),
        },
        What::StaleAttachmentCleared { node, why, .. } => {
            format!("Cut off from node {node} ({why}); other nodes can attach the volume")
        }
        What::MigrationStarted { from, to, .. } => format!(
            "Attached to node {to} as well as to node {from}, for a live migration; until one of \
             them leaves, the virtual machine alone keeps both from writing"
        ),
        What::MigrationCompleted { left, kept, .. } => format!(
            "Migrated: node {left} has left, node {kept} keeps the volume; {left} is not fenced \
             before the last node leaves"
        ),
        What::MigrationFailed { left, kept, .. } => format!(
            "Not migrated: node {left} has left again, node {kept} keeps the volume; see the events \
             of the virtual machine. {left} is not fenced before the last node leaves"
        ),
        What::GrantRepaired { node, .. } => format!(
            "The RDS had lost the grant of node {node}, or it was edited there; it stands again, \
             and the node reconnects by itself"
        ),
        What::GrantLost { node, why, .. } => format!(
            "The RDS has lost the grant of node {node}, and it cannot be brought back safely: {why}. \
             Delete the pod on {node}, so that the volume is detached and attached anew"
        ),
        What::OrphanFound { node, .. } => format!(
            "Node {node} can reach the volume although no VolumeAttachment asks for it; it is cut off \
             when another node asks, or when this has been so for a while. Look for attachments \
             that were deleted by hand"
        ),
        What::FencingDegraded { mode } => degraded(*mode),
        What::LeaderElected { took } => {
            format!("Ready to serve within {} of taking the Lease", step(*took))
        }
    }
}

fn degraded(mode: FencingMode) -> String {
    let means = match mode {
        FencingMode::Pair => "both names are enforced, nothing is missing",
        FencingMode::HostNqn => {
            "it cannot change the name of a subsystem. One node at a time can connect, but a write \
             that was queued on a node that lost the volume may land when that node gets it again, \
             unless its driver has removed the old connection first"
        }
        FencingMode::SubsystemNqn => {
            "it has no list of allowed hosts. Whoever learns the name of a subsystem can connect"
        }
        FencingMode::Controller => {
            "it can change neither name. Nothing but this controller keeps two nodes from writing"
        }
    };
    format!(
        "Fencing mode of this RDS is {}: {means}. A newer RouterOS may do more",
        mode.as_str()
    )
}

/// A duration as the step that it stayed within.
fn step(took: Duration) -> String {
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match LADDER.into_iter().find(|step| milliseconds <= *step) {
        Some(step) if step < 1_000 => format!("{step} ms"),
        Some(step) => format!("{} s", step / 1_000),
        None => format!("{} min", milliseconds.div_ceil(60_000)),
    }
}

/// At most `max` bytes of a text.
pub(super) fn clip(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_steps_that_repeat() {
        let rows = [
            (0, "100 ms"),
            (100, "100 ms"),
            (101, "250 ms"),
            (900, "1 s"),
            (1_001, "2 s"),
            (59_000, "60 s"),
            (60_001, "2 min"),
            (600_000, "10 min"),
        ];
        for (milliseconds, expected) in rows {
            assert_eq!(step(Duration::from_millis(milliseconds)), expected);
        }
        assert!(step(Duration::MAX).ends_with(" min"));
    }

    #[test]
    fn no_node_is_named_too_long_for_a_note() {
        let node = "n".repeat(253);
        let what = What::AttachmentConflict {
            volume: crate::domain::id::VolumeId::from_request("csi-0123456789abcdef0123456789ab")
                .unwrap()
                .unwrap(),
            holder: node.clone(),
            asking: node.parse().unwrap(),
        };
        // The holder stands there twice, and all of what to do behind it.
        let whole = sentence(&what);
        assert_eq!(Notice::of(&what).note, whole);
        assert!(whole.ends_with("NoExecute"), "{} bytes", whole.len());
        assert_eq!(clip("aé".to_owned(), 2), "a");
    }
}
