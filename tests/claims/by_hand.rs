//! Names and exports that somebody edits on the RDS under a node that uses the volume: after one pass
//! of the reconcilers, or one Publish of external-attacher's ReconcileVA, it is as the
//! VolumeAttachments say, and nobody else could write meanwhile.

use rds_csi::domain::error::Kind;
use rds_csi::domain::id::VolumeId;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};

use crate::bed::{Context, until, within};
use crate::leader::{CLIENT, GRACE};
use crate::scene::Reg;
use crate::town::{ATTACHMENTS, Town};

const A: &str = "node-a";
const B: &str = "node-b";

/// What somebody has written.
#[derive(Debug, Clone, Copy)]
enum Edit {
    /// These names and this export.
    Names(Reg),
    /// The export alone.
    ExportOff,
    /// The host name alone: it is another node's.
    Host,
    /// The subsystem name alone: it is free.
    Subsystem,
}

const EDITS: [Edit; 7] = [
    Edit::Names(Reg::Free),
    Edit::Names(Reg::Stray),
    Edit::Names(Reg::Granted(B)),
    Edit::Names(Reg::Other(A)),
    Edit::ExportOff,
    Edit::Host,
    Edit::Subsystem,
];

impl Edit {
    async fn make(self, town: &Town, id: &VolumeId) {
        let (subsystem, host, exported) = town.register(id);
        let (subsystem, host, exported) = match self {
            Self::Names(names) => names.of(id),
            Self::ExportOff => (subsystem, host, false),
            Self::Host => (subsystem, Reg::Granted(B).of(id).1, exported),
            Self::Subsystem => (Reg::Free.of(id).0, host, exported),
        };
        town.by_hand(id, &subsystem, &host, exported).await;
    }
}

#[tokio::test]
async fn one_pass_of_the_reconcilers_undoes_what_was_edited() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    for edit in EDITS {
        let id = leader.create(&town, &format!("{edit:?}")).await;
        let told = leader.attach(&town, &id, A).await;
        edit.make(&town, &id).await;
        until(&format!("{edit:?} is undone"), || town.grants(&id, &told)).await;
        check(&town, &leader, &id, &told, edit).await;
        assert!(leader.reasons(&id).contains(&"GrantRepaired"), "{edit:?}");
    }
    town.bed.assert_one_writer("edits and reconcilers");
}

#[tokio::test]
async fn one_publish_undoes_what_was_edited() {
    let town = Town::new().await;
    let leader = town.lazy_leader(1).await;
    for edit in EDITS {
        let id = leader.create(&town, &format!("{edit:?}")).await;
        let told = leader.attach(&town, &id, A).await;
        assert_eq!(leader.published(&id).await, [A]);
        edit.make(&town, &id).await;
        // That is how the attacher comes to ask. Another pair of the same node it cannot know.
        let is_plain = !matches!(edit, Edit::Names(Reg::Other(_)));
        assert_eq!(leader.published(&id).await != [A], is_plain, "{edit:?}");
        assert_eq!(leader.publish(&id, A).await.unwrap(), told, "{edit:?}");
        check(&town, &leader, &id, &told, edit).await;
        assert_eq!(leader.published(&id).await, [A], "{edit:?}");
        assert!(leader.reasons(&id).contains(&"GrantRepaired"), "{edit:?}");
    }
    town.bed.assert_one_writer("edits and calls");
}

async fn check(
    town: &Town,
    leader: &crate::leader::Leader,
    id: &VolumeId,
    told: &Context,
    edit: Edit,
) {
    assert!(town.grants(id, told), "{edit:?}");
    assert!(town.reconnects(A), "{edit:?}");
    town.write(A, id);
    assert_eq!(leader.publish(id, A).await.unwrap(), *told, "{edit:?}");
    town.want(id, B);
    let refused = leader.publish(id, B).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere, "{edit:?}");
    town.forget(id, B);
}

#[tokio::test]
async fn names_of_nobody_are_never_taken_for_free_and_hold_up_no_other_volume() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let other = leader.create(&town, "other").await;
    for host in ["", "nqn.2014-08.org.nvmexpress:uuid:somebody"] {
        let id = leader.create(&town, host).await;
        town.want(&id, A);
        let (subsystem, ..) = Reg::Garbage.of(&id);
        town.by_hand(&id, &subsystem, host, true).await;
        town.bed.clock.advance(GRACE);
        leader.passes(&town, &id, 2).await;
        let register = town.register(&id);
        assert_eq!(register, (subsystem, host.to_owned(), true));
        let refused = leader.publish(&id, A).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::InUse, "{refused}");
        town.unwant(&id, A);
        let refused = leader.unpublish(&id, A).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::InUse, "{refused}");
        assert_eq!(town.register(&id), register);
    }
    leader.attach(&town, &other, B).await;
}

#[tokio::test]
async fn a_pair_comes_back_once_and_a_second_loss_is_told() {
    let town = Town::new().await;
    let mut leader = town.leader(1).await;
    let id = leader.create(&town, "v").await;
    let told = leader.attach(&town, &id, A).await;
    let (subsystem, host, exported) = Reg::Free.of(&id);
    town.by_hand(&id, &subsystem, &host, exported).await;
    until("it is back", || town.grants(&id, &told)).await;
    assert_eq!(town.remade(&id, A).as_ref(), Some(&told["nvme_nqn"]));
    town.by_hand(&id, &subsystem, &host, exported).await;
    until("it is told", || leader.reasons(&id).contains(&"GrantLost")).await;
    for epoch in [2, 3] {
        leader.passes(&town, &id, 2).await;
        assert!(town.is_free(&id));
        let lost = leader.reasons(&id);
        let lost = lost.iter().filter(|reason| **reason == "GrantLost").count();
        assert!((1..=2).contains(&lost), "told {lost} times");
        drop(leader);
        leader = town.leader(epoch).await;
    }
    // Attached anew, it has a new pair, which can come back too.
    leader.detach(&town, &id, A).await;
    let told = leader.attach(&town, &id, A).await;
    town.by_hand(&id, &subsystem, &host, exported).await;
    until("it is back", || town.grants(&id, &told)).await;
    assert!(town.reconnects(A));
    town.bed.assert_one_writer("lost twice");
}

#[tokio::test]
async fn a_record_that_met_another_change_is_tried_again() {
    let town = Town::new().await;
    let leader = town.leader(1).await;
    let id = leader.create(&town, "v").await;
    let told = leader.attach(&town, &id, A).await;
    let on = Matcher::of(Verb::Patch, ATTACHMENTS).by(CLIENT);
    town.api.faults().add(Rule::next(1, Fault::Hold, on));
    let (subsystem, host, exported) = Reg::Free.of(&id);
    town.by_hand(&id, &subsystem, &host, exported).await;
    within(town.api.faults().wait_held(1)).await;
    assert!(town.is_free(&id), "nothing is sent before it is on record");
    town.attached(&id, A, &told);
    town.api.faults().release();
    until("it is back", || town.grants(&id, &told)).await;
    assert_eq!(leader.reasons(&id), ["VolumeAttached", "GrantRepaired"]);
    assert!(town.reconnects(A));
    town.bed.assert_one_writer("record");
}
