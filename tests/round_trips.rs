//! What calls cost the RDS: RouterOS works on its configuration one command at a time, so each line
//! that is not needed is time that other volumes wait.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;

use rds_csi::domain::error::Error;

use bed::{Bed, GIB, Replica};

/// Runs a call and counts the lines it took.
async fn cost<T>(bed: &Bed, call: impl Future<Output = Result<T, Error>>) -> (T, usize) {
    let before = bed.world().now_seq();
    let answer = call.await.unwrap();
    (answer, bed.commands(before).len())
}

/// Creates a volume and restarts the controller, which then remembers nothing of its own.
async fn found(bed: &Bed) -> (Replica, rds_csi::domain::id::VolumeId) {
    let id = bed.controller().await.create("v").await.unwrap();
    (bed.controller().await, id)
}

#[tokio::test]
async fn create_publish_and_unpublish_cost_one_line_and_delete_two() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    // The second round finds a volume that was made again under the same name.
    for round in ["first", "second"] {
        let (id, create) = cost(&bed, replica.create("v")).await;
        let (_, publish) = cost(&bed, replica.publish(&id, "node-a")).await;
        let ((), unpublish) = cost(&bed, replica.unpublish(&id, "node-a")).await;
        let (_, next) = cost(&bed, replica.publish(&id, "node-b")).await;
        let ((), back) = cost(&bed, replica.unpublish(&id, "node-b")).await;
        let (_, expand) = cost(&bed, replica.expand(&id, 2 * GIB)).await;
        let ((), delete) = cost(&bed, replica.delete(&id)).await;
        let costs = [create, publish, unpublish, next, back, expand, delete];
        assert_eq!(costs, [1, 1, 1, 1, 1, 1, 2], "{round}");
    }
}

#[tokio::test]
async fn a_restarted_controller_needs_no_more_lines_than_before() {
    let bed = Bed::new();
    let (replica, id) = found(&bed).await;
    let (_, publish) = cost(&bed, replica.publish(&id, "node-a")).await;
    assert_eq!(publish, 1);
    drop(replica);
    let replica = bed.controller().await;
    let ((), unpublish) = cost(&bed, replica.unpublish(&id, "node-a")).await;
    let ((), delete) = cost(&bed, replica.delete(&id)).await;
    assert_eq!((unpublish, delete), (1, 2));
}

#[tokio::test]
async fn every_answer_about_a_grant_is_read_from_the_rds() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let told = replica.publish(&id, "node-a").await.unwrap();

    let (again, repeated) = cost(&bed, replica.publish(&id, "node-a")).await;
    assert_eq!((again, repeated), (told, 1), "the same call again");
    let before = bed.world().now_seq();
    replica.publish(&id, "node-b").await.unwrap_err();
    assert_eq!(
        bed.commands(before).len(),
        1,
        "a refusal names a holder that was read"
    );
    replica.unpublish(&id, "node-a").await.unwrap();
    let ((), detached) = cost(&bed, replica.unpublish(&id, "node-a")).await;
    assert_eq!(detached, 1, "detached again");
    let (_, held) = cost(&bed, async { Ok::<_, Error>(replica.holders(&id).await) }).await;
    assert_eq!(held, 1, "ControllerGetVolume");
}

#[tokio::test]
async fn a_list_costs_two_lines_however_many_volumes_there_are() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for count in [1, 20] {
        for number in 0..count {
            replica.create(&format!("v{number}")).await.unwrap();
        }
        let (page, lines) = cost(&bed, replica.volumes.list(None, 0)).await;
        assert_eq!((page.entries.len(), lines), (count, 2));
    }
}

#[tokio::test]
async fn a_start_costs_three_lines_besides_the_greeting_of_each_session() {
    let bed = Bed::new();
    let before = bed.world().now_seq();
    let replica = bed.controller().await;
    let lines = bed.commands(before);
    assert_eq!(lines.len(), 3, "probe, count, list: {lines:#?}");
    assert!(replica.volumes.ready());
}
