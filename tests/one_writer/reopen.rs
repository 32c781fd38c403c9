//! Only a told pair is answered as it stands: any other is closed and opened first.

use std::time::Duration;

use rds_csi::domain::id::VolumeId;
use rds_csi::sim::target::SessionId;
use rds_csi::sim::transport::{Fault, Rule};

use crate::bed::{Bed, Context, Knobs, until};

/// Longer than any test: nothing that is found counts as told.
const NEVER: Duration = Duration::from_hours(1);

/// Lines that read one volume and change nothing name it so; the others do by way of a variable.
const READS: &str = "where slot=\"csi-";

/// The text of lines that grant or re-open.
const OPENS: &str = "nvme-tcp-export=yes";

fn session(bed: &Bed, node: &str) -> Option<SessionId> {
    let sessions = bed.world().sessions();
    let of_node = sessions.iter().find(|session| session.machine == node);
    of_node.map(|session| session.id)
}

/// The names that stand on the device, as if somebody had been told them.
fn standing(bed: &Bed, id: &VolumeId) -> Context {
    let disk = bed.world().disk(id.as_str()).unwrap();
    let rows = [
        ("nvme_address", "127.0.0.1"),
        ("nvme_port", "4420"),
        ("nvme_nqn", &disk.subsystem_nqn),
        ("nvme_hostnqn", &disk.allow_host_name),
    ];
    rows.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[tokio::test]
async fn a_pair_found_before_the_settling_time_is_reopened_before_it_is_answered() {
    let bed = Bed::new();
    let first = bed.controller().await;
    let id = first.create("v").await.unwrap();
    let told = first.publish(&id, "node-a").await.unwrap();
    bed.machine("node-a").connect_only(&told).unwrap();
    let before = session(&bed, "node-a").unwrap();
    drop(first);

    let second = bed
        .controller_with(&Knobs {
            settle: NEVER,
            ..Knobs::default()
        })
        .await;
    assert_eq!(session(&bed, "node-a"), Some(before), "a start cuts nobody");
    assert_eq!(second.publish(&id, "node-a").await.unwrap(), told);
    assert_eq!(session(&bed, "node-a"), None, "the old session is cut");
    // Its node comes back under the same names by itself; from then on they are told.
    bed.machine("node-a").reconnect_now();
    let after = session(&bed, "node-a").unwrap();
    assert_eq!(second.publish(&id, "node-a").await.unwrap(), told);
    assert_eq!(session(&bed, "node-a"), Some(after));
    bed.assert_one_writer("reopen");
}

#[tokio::test]
async fn a_pair_found_counts_as_told_once_the_settling_time_has_passed() {
    let bed = Bed::new();
    let first = bed.controller().await;
    let id = first.create("v").await.unwrap();
    let told = first.publish(&id, "node-a").await.unwrap();
    bed.machine("node-a").connect_only(&told).unwrap();
    let before = session(&bed, "node-a");
    drop(first);

    let settle = Duration::from_mins(1);
    let second = bed
        .controller_with(&Knobs {
            settle,
            ..Knobs::default()
        })
        .await;
    bed.clock.advance(settle);
    assert_eq!(second.publish(&id, "node-a").await.unwrap(), told);
    assert_eq!(session(&bed, "node-a"), before, "a live grant is not cut");
}

#[tokio::test]
async fn a_grant_whose_reply_was_lost_is_reopened_so_that_nobody_stays_who_came_in_between() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    bed.sim.faults().add(Rule::next(Fault::DropAfter, OPENS));
    bed.sim.faults().add(Rule {
        times: Some(2),
        ..Rule::next(Fault::Hold, READS)
    });
    let publish = replica.publish(&id, "node-a");
    let intrude = async {
        // The grant stands, its reply is lost, and the line that reads again is held.
        until("the grant stands", || {
            bed.world()
                .disk(id.as_str())
                .is_some_and(|disk| disk.exported)
        })
        .await;
        bed.machine("intruder")
            .connect_only(&standing(&bed, &id))
            .unwrap();
        bed.sim.faults().clear();
        bed.sim.faults().release();
    };
    let (told, ()) = tokio::join!(publish, intrude);
    assert_eq!(session(&bed, "intruder"), None, "cut before the answer");
    bed.machine("node-a").connect_only(&told.unwrap()).unwrap();
    bed.assert_one_writer("intruder");
}

#[tokio::test]
async fn no_answer_about_a_grant_comes_from_memory() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let told = replica.publish(&id, "node-a").await.unwrap();
    // By hand, and nobody tells the controller.
    bed.by_hand(&format!(
        "/disk set [find where slot={id}] nvme-tcp-export=no"
    ))
    .await;
    assert_eq!(replica.publish(&id, "node-a").await.unwrap(), told);
    assert!(
        bed.world().disk(id.as_str()).unwrap().exported,
        "repaired, not remembered"
    );

    bed.by_hand(&format!("/disk remove [find where slot={id}]"))
        .await;
    let gone = replica.publish(&id, "node-a").await.unwrap_err();
    assert!(gone.context().contains("there is no volume"), "{gone}");
}
