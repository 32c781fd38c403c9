//! The claims table: what a leader makes of each row when it takes over, what its reconcilers make of
//! it once the grace period has passed, and who can write meanwhile.

use rds_csi::domain::id::VolumeId;
use rds_csi::sim::transport::{Fault, Matcher, Rule};

use crate::bed::until;
use crate::leader::{GRACE, Leader};
use crate::scene::{GONE, OFF, Reg, Scene, Va, scene};
use crate::town::Town;

/// A row with what becomes of its register, and what people are told of it.
type Row = (Scene, Reg, &'static [&'static str]);

const A: &str = "node-a";
const B: &str = "node-b";

/// Rows on which a take-over has nothing to wait for, or nothing to do for good.
fn rows() -> Vec<Row> {
    use Reg::{Free, Garbage, Granted, Other, Prepared, Stray};
    use Va::{Attached, Failed, Leaves, Left, New, Spent, Stripped, Wants};
    vec![
        // Present, and granted: its node holds it.
        (scene(Granted(A), [Attached(A)]), Granted(A), &[]),
        (scene(Granted(A), [Stripped(A)]), Granted(A), &[]),
        (scene(Granted(A), [Leaves(A)]), Granted(A), &[]),
        (scene(Granted(OFF), [Attached(OFF)]), Granted(OFF), &[]),
        // Half-way through a Publish whose answer nobody has: it will come again.
        (scene(Granted(A), [Wants(A)]), Granted(A), &[]),
        (scene(Granted(A), [Failed(A)]), Granted(A), &[]),
        (scene(Prepared(A), [Wants(A)]), Prepared(A), &[]),
        // Half-way through a revoke: Unpublish will come again.
        (scene(Prepared(A), [Leaves(A)]), Prepared(A), &[]),
        // Attached, and free or lost: made again, or opened.
        (scene(Free, [Attached(A)]), Granted(A), &["GrantRepaired"]),
        (scene(Free, [Stripped(A)]), Granted(A), &["GrantRepaired"]),
        (
            scene(Prepared(A), [Attached(A)]),
            Granted(A),
            &["GrantRepaired"],
        ),
        (
            scene(Other(A), [Attached(A)]),
            Granted(A),
            &["GrantRepaired"],
        ),
        (scene(Stray, [Attached(A)]), Granted(A), &["GrantRepaired"]),
        // Once only, and only where nobody else can be meant.
        (scene(Free, [Spent(A)]), Free, &["GrantLost"]),
        (
            scene(Free, [Attached(A), Wants(B)]),
            Granted(A),
            &["GrantRepaired"],
        ),
        (scene(Free, [Attached(A), Leaves(B)]), Free, &[]),
        // Not attached, and free: a Publish will come.
        (scene(Free, [Wants(A)]), Free, &[]),
        (scene(Free, [New(A)]), Free, &[]),
        (scene(Free, [Leaves(A)]), Free, &[]),
        (scene(Free, [Left(A)]), Free, &[]),
        // Another holds it, with an attachment too.
        (scene(Granted(B), [Wants(A), Attached(B)]), Granted(B), &[]),
        (scene(Granted(B), [Wants(A), Wants(B)]), Granted(B), &[]),
        (scene(Granted(B), [Wants(A), Leaves(B)]), Granted(B), &[]),
        // Another without one is in the way, also one that was let go.
        (
            scene(Granted(B), [Wants(A)]),
            Free,
            &["StaleAttachmentCleared"],
        ),
        (
            scene(Granted(B), [Wants(A), Left(B)]),
            Free,
            &["StaleAttachmentCleared"],
        ),
        (
            scene(Granted(B), [Attached(A)]),
            Granted(A),
            &["StaleAttachmentCleared", "GrantRepaired"],
        ),
        // Its machine is off, and Kubernetes has given it up.
        (
            scene(Granted(OFF), [Leaves(OFF)]),
            Free,
            &["StaleAttachmentCleared"],
        ),
        // Names that nobody was told, whoever asks or not.
        (scene(Stray, []), Free, &[]),
        (scene(Garbage, [Attached(A)]), Garbage, &[]),
    ]
}

/// Rows that may be the middle of something: nothing happens before they have looked so for a while.
fn patient_rows() -> Vec<Row> {
    use Reg::{Free, Granted, Prepared};
    use Va::{Attached, Leaves, Left};
    let cleared: &[&str] = &["StaleAttachmentCleared"];
    let orphan: &[&str] = &["OrphanFound", "StaleAttachmentCleared"];
    vec![
        (scene(Granted(A), []), Free, orphan),
        (scene(Granted(A), [Left(A)]), Free, orphan),
        (scene(Prepared(A), []), Free, orphan),
        (scene(Granted(A), [Leaves(B)]), Free, orphan),
        (scene(Granted(GONE), [Attached(GONE)]), Free, cleared),
        (scene(Granted(GONE), [Leaves(GONE)]), Free, cleared),
    ]
}

fn check(town: &Town, leader: &Leader, rows: &[Row], ids: &[VolumeId]) {
    for ((scene, register, reasons), id) in rows.iter().zip(ids) {
        let found = town.register(id);
        assert!(register.stands(town, id), "{scene:?}: {found:?}");
        // What is beyond repair is told by the take-over and by the first pass after it.
        let mut told = leader.reasons(id);
        told.dedup();
        assert_eq!(told, *reasons, "{scene:?}");
    }
}

#[tokio::test]
async fn a_take_over_does_with_each_row_what_the_claims_table_says() {
    let town = Town::new().await;
    let rows = rows();
    let ids = Scene::set(&town, rows.iter().map(|row| &row.0)).await;
    let leader = town.lazy_leader(2).await;
    check(&town, &leader, &rows, &ids);
}

#[tokio::test]
async fn no_row_that_is_settled_is_touched_by_reconcilers_however_long_it_lasts() {
    let town = Town::new().await;
    let rows = rows();
    let ids = Scene::set(&town, rows.iter().map(|row| &row.0)).await;
    let leader = town.leader(2).await;
    town.bed.clock.advance(GRACE);
    leader.passes(&town, &ids[0], 2).await;
    town.bed.clock.advance(GRACE);
    leader.passes(&town, &ids[0], 2).await;
    check(&town, &leader, &rows, &ids);
}

#[tokio::test]
async fn lost_replies_change_nothing_about_what_a_take_over_ends_in() {
    let town = Town::new().await;
    let rows = rows();
    let ids = Scene::set(&town, rows.iter().map(|row| &row.0)).await;
    for (row, id) in rows.iter().zip(&ids) {
        // Lines that change something name the pair that they are about.
        if row.0.register != row.1 {
            town.bed.sim.faults().add(Rule {
                on: Matcher::Contains(format!("{id}\";:local n ")),
                ..Rule::next(Fault::DropAfter, "")
            });
        }
    }
    let leader = town.leader(2).await;
    assert_eq!(town.bed.sim.faults().rules(), [], "each has lost a reply");
    leader.passes(&town, &ids[0], 1).await;
    for ((scene, register, _), id) in rows.iter().zip(&ids) {
        until(&format!("{scene:?} is settled"), || {
            register.stands(&town, id)
        })
        .await;
    }
}

#[tokio::test]
async fn what_may_be_the_middle_of_something_waits_for_grace_and_is_cleared_then() {
    let town = Town::new().await;
    let rows = patient_rows();
    let ids = Scene::set(&town, rows.iter().map(|row| &row.0)).await;
    let leader = town.leader(2).await;
    for id in &ids {
        leader.passes(&town, id, 2).await;
    }
    for ((scene, ..), id) in rows.iter().zip(&ids) {
        assert!(scene.register.stands(&town, id), "too early: {scene:?}");
        let cleared = leader.reasons(id).contains(&"StaleAttachmentCleared");
        assert!(!cleared, "too early: {scene:?}");
    }
    town.bed.clock.advance(GRACE);
    for id in &ids {
        until("it is cleared", || Reg::Free.stands(&town, id)).await;
        leader.passes(&town, id, 1).await;
    }
    check(&town, &leader, &rows, &ids);
}
