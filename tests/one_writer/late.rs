//! Lines that the device runs long after their caller gave up on them, and after others came.

use rds_csi::domain::id::VolumeId;
use rds_csi::sim::gate::PointKind;

use crate::bed::{Bed, Context, GIB, Replica};
use crate::deposit::{Deposit, Place, places};

const SLOW: &str = "node-a";
const NEXT: &str = "node-b";

/// Publishes to a node, connects and writes.
async fn attach(bed: &Bed, replica: &Replica, id: &VolumeId, node: &str) -> Context {
    let told = replica.publish(id, node).await.unwrap();
    let machine = bed.machine(node);
    machine.stage(&told).unwrap();
    machine.write(id.as_str());
    told
}

async fn detach(bed: &Bed, replica: &Replica, id: &VolumeId, node: &str) {
    bed.machine(node).disconnect(id.as_str());
    replica.unpublish(id, node).await.unwrap();
}

/// Lets the line go on while `NEXT` uses the volume, and says whether that noticed anything.
async fn disturbs(bed: &Bed, late: Deposit, id: &VolumeId) -> bool {
    let (before, content) = (bed.world().disk(id.as_str()), bed.content(id));
    let sessions = bed.world().sessions();
    late.release(bed).await;
    assert_eq!(bed.content(id), content, "the data of {NEXT}");
    bed.world().disk(id.as_str()) != before || bed.world().sessions() != sessions
}

/// The volume comes back to `NEXT`, and `SLOW` gets nothing out of whatever the line did.
async fn heal(bed: &Bed, replica: &Replica, id: &VolumeId, case: &str) {
    bed.machine(SLOW).reconnect_now();
    bed.machine(NEXT).disconnect(id.as_str());
    replica.unpublish_all(id).await.expect(case);
    attach(bed, replica, id, NEXT).await;
    bed.assert_one_writer(case);
    detach(bed, replica, id, NEXT).await;
    replica.delete(id).await.expect(case);
    assert_eq!(bed.holdings(), Vec::<String>::new(), "{case}");
}

/// Places at which a `set` has found its item, which the device then changes whatever it has become.
fn is_between(place: Place) -> bool {
    place.1 == PointKind::BetweenFindAndSet
}

#[tokio::test]
async fn a_late_grant_lets_nobody_in_and_disturbs_only_where_find_and_set_are_torn_apart() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for place in places(3) {
        let case = format!("{place:?}");
        let id = replica.create("v").await.unwrap();
        let call = replica.publish(&id, SLOW);
        let (late, told) = Deposit::of(&bed, place, &[":node-a:", "export=yes"], call).await;
        let machine = bed.machine(SLOW);
        machine.stage(&told.expect(&case)).expect(&case);
        machine.write(id.as_str());
        detach(&bed, &replica, &id, SLOW).await;
        attach(&bed, &replica, &id, NEXT).await;

        let disturbed = disturbs(&bed, late, &id).await;
        // Its open finds the entry exported already: nothing to see.
        let may = is_between(place) && place.0 < 2;
        assert_eq!(disturbed, may, "{case}");
        bed.assert_one_writer(&case);
        heal(&bed, &replica, &id, &case).await;
    }
}

#[tokio::test]
async fn a_late_revoke_of_an_old_grant_disturbs_a_new_one_only_where_find_and_set_are_torn_apart() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    // The new grant may be of the same node.
    for next in [NEXT, SLOW] {
        for place in places(2) {
            let case = format!("{place:?}, then {next}");
            let id = replica.create("v").await.unwrap();
            attach(&bed, &replica, &id, SLOW).await;
            bed.machine(SLOW).disconnect(id.as_str());
            let call = replica.unpublish(&id, SLOW);
            let (late, done) = Deposit::of(&bed, place, &[":node-a:", ":free:"], call).await;
            done.expect(&case);
            attach(&bed, &replica, &id, next).await;

            assert_eq!(
                disturbs(&bed, late, &id).await,
                is_between(place),
                "{case}: {:?}",
                bed.world().disk(id.as_str())
            );
            bed.assert_one_writer(&case);
            bed.machine(next).disconnect(id.as_str());
            heal(&bed, &replica, &id, &case).await;
        }
    }
}

/// Deletes the volume while the line that contains `text` is held; then makes and attaches a volume
/// of the same name, and lets the line go on.
async fn late_after_another_life(text: &str) {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for place in places(1) {
        let case = format!("{text} {place:?}");
        let id = replica.create("v").await.unwrap();
        attach(&bed, &replica, &id, SLOW).await;
        detach(&bed, &replica, &id, SLOW).await;
        let (late, done) = Deposit::of(&bed, place, &[text], replica.delete(&id)).await;
        // A delete that is not sure says so and is asked again.
        if done.is_err() {
            replica.delete(&id).await.expect(&case);
        }
        assert_eq!(replica.create("v").await.unwrap(), id);
        attach(&bed, &replica, &id, NEXT).await;
        assert!(!disturbs(&bed, late, &id).await, "{case}");
        heal(&bed, &replica, &id, &case).await;
    }
}

#[tokio::test]
async fn a_late_remove_never_hits_the_entry_of_a_volume_made_again() {
    late_after_another_life("/disk remove").await;
}

#[tokio::test]
async fn a_late_file_removal_never_hits_the_file_of_a_volume_made_again() {
    late_after_another_life("/file remove").await;
}

#[tokio::test]
async fn a_late_growth_never_cuts_and_never_harms_a_volume_made_again() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for place in places(1) {
        let case = format!("{place:?}");
        let id = replica.create("v").await.unwrap();
        let call = replica.expand(&id, 3 * GIB);
        let (late, _) = Deposit::of(&bed, place, &["file-size"], call).await;
        let size = replica.expand(&id, 3 * GIB).await;
        assert_eq!(size.expect(&case), 3 * GIB, "{case}");
        replica.delete(&id).await.expect(&case);
        replica.create("v").await.expect(&case);
        attach(&bed, &replica, &id, NEXT).await;
        let (before, sessions) = (bed.world().disk(id.as_str()), bed.world().sessions());
        let content = bed.content(&id);

        late.release(&bed).await;
        let mut after = bed.world().disk(id.as_str()).unwrap();
        assert!(after.size >= GIB, "{case}: {after:?}");
        // Larger than asked is the most that can happen; everything else is as it was.
        after.size = GIB;
        assert_eq!(Some(after), before, "{case}");
        assert_eq!(bed.world().sessions(), sessions, "{case}");
        assert_eq!(bed.content(&id), content, "{case}");
        heal(&bed, &replica, &id, &case).await;
    }
}

#[tokio::test]
async fn a_late_creation_makes_at_most_a_volume_that_nobody_can_reach() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    // Whether the volume is deleted by then, so that the late line makes it again.
    for deleted in [false, true] {
        let place = (0, PointKind::BeforeCommand);
        let (late, id) = Deposit::of(&bed, place, &["/disk add"], replica.create("v")).await;
        let id = match id {
            Ok(id) => id,
            Err(_) => replica.create("v").await.unwrap(),
        };
        if deleted {
            replica.delete(&id).await.unwrap();
            late.release(&bed).await;
            let disk = bed.world().disk(id.as_str()).expect("it is made again");
            assert!(!disk.exported, "{disk:?}");
            assert!(disk.allow_host_name.contains(":free:"), "{disk:?}");
            assert_eq!(
                replica.create("v").await.unwrap(),
                id,
                "a later create adopts it"
            );
        } else {
            attach(&bed, &replica, &id, NEXT).await;
            assert!(!disturbs(&bed, late, &id).await);
        }
        heal(&bed, &replica, &id, &format!("deleted: {deleted}")).await;
    }
}
