//! The Lease deleted and edited by hand, and what it says about the time of day.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rds_csi::workload::cluster::Blow;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::rig::{Rig, TIMES};

/// Whole, and renewed after it was damaged.
async fn is_whole_again(rig: &Rig, holder: &str, what: &str) {
    let renewed = |lease: &Lease| lease.spec.clone().unwrap_or_default().renew_time;
    let read = || -> Option<Lease> { rig.cluster.api().objects().into_iter().next() };
    let damaged = read().as_ref().and_then(renewed);
    rig.until_lease(what, |lease| {
        let seconds = |lease: &Lease| lease.spec.as_ref()?.lease_duration_seconds;
        let now = read();
        lease.holder == holder
            && now.as_ref().and_then(seconds) == i32::try_from(rig.times.duration.as_secs()).ok()
            && now.as_ref().and_then(renewed).is_some()
            && now.as_ref().and_then(renewed) != damaged
    })
    .await;
}

fn in_hours(hours: i64) -> String {
    let then = Timestamp::now() + SignedDuration::from_hours(hours);
    format!("{then:.6}")
}

#[tokio::test]
async fn a_leader_puts_right_what_is_done_to_its_lease_and_goes_on() {
    let mut rig = Rig::slow().await;
    let leader = rig.leader().await;
    let holder = rig.lease().holder;
    let edits: [(&str, Value); 6] = [
        ("holder emptied", json!({"spec": {"holderIdentity": ""}})),
        ("holder removed", json!({"spec": {"holderIdentity": null}})),
        (
            "everything removed",
            json!({"spec": null, "metadata": {"annotations": null}}),
        ),
        (
            "a duration of 68 years",
            json!({"spec": {"leaseDurationSeconds": i32::MAX}}),
        ),
        (
            "renewed in an hour",
            json!({"spec": {"renewTime": in_hours(1)}}),
        ),
        (
            "renewed an hour ago",
            json!({"spec": {"renewTime": in_hours(-1)}}),
        ),
    ];
    for (what, patch) in edits {
        rig.edit(patch).await;
        is_whole_again(&rig, &holder, what).await;
        rig.back(Instant::now(), what).await;
    }
    rig.store(|lease| {
        let spec = lease.spec.get_or_insert_default();
        spec.lease_duration_seconds = Some(-5);
    });
    is_whole_again(&rig, &holder, "a duration below zero").await;
    rig.delete_lease();
    is_whole_again(&rig, &holder, "deleted").await;
    let back = rig.back(Instant::now(), "deleted").await;
    assert_eq!(back.pod, leader, "{}", rig.logs());
    assert_eq!(rig.lease().holder, holder, "the same process");
    assert!(rig.runs(&leader));
    rig.finish().await;
}

#[tokio::test]
async fn a_leader_whose_lease_names_another_ends_and_a_replica_leads() {
    let mut rig = Rig::start().await;
    for holder in ["somebody-else", "controller-0", "a_b_c"] {
        let leader = rig.leader().await;
        let edited = Instant::now();
        rig.edit(json!({"spec": {"holderIdentity": holder}})).await;
        assert_eq!(rig.ended(&leader).await.code(), Some(1), "{}", rig.logs());
        rig.restart(&leader).await;
        let back = rig.back(edited, "foreign holder").await;
        assert!(back.ready >= TIMES.duration, "{:?}", back.ready);
    }
    rig.finish().await;
}

/// Kills the leader, does something to the Lease, and waits for the next leader: nobody leads before
/// the Lease has stood still for a lease, whatever it says.
async fn nobody_hurries(rig: &mut Rig, what: &str, edit: Edit) {
    let leader = rig.leader().await;
    rig.hit(&leader, Blow::Kill);
    rig.ended(&leader).await;
    let edited = Instant::now();
    match edit {
        Edit::Patch(patch) => rig.edit(patch).await,
        Edit::Delete => rig.delete_lease(),
        Edit::Store => rig.store(|lease| {
            let spec = lease.spec.get_or_insert_default();
            spec.lease_duration_seconds = Some(-5);
            spec.lease_transitions = Some(-1);
        }),
    }
    let back = rig.back(edited, what).await;
    assert!(back.ready >= TIMES.duration, "{what}: {:?}", back.ready);
    rig.restart(&leader).await;
}

enum Edit {
    Patch(Value),
    Delete,
    /// Numbers below zero, which an API refuses today.
    Store,
}

#[tokio::test]
async fn a_lease_that_is_damaged_while_nobody_leads_is_repaired_in_a_lease() {
    let mut rig = Rig::start().await;
    let edits = [
        ("deleted", Edit::Delete),
        ("numbers below zero", Edit::Store),
        (
            "holder emptied",
            Edit::Patch(json!({"spec": {"holderIdentity": ""}})),
        ),
        (
            "holder foreign",
            Edit::Patch(json!({"spec": {"holderIdentity": "somebody-else"}})),
        ),
        (
            "everything removed",
            Edit::Patch(json!({"spec": null, "metadata": {"annotations": null}})),
        ),
    ];
    for (what, edit) in edits {
        nobody_hurries(&mut rig, what, edit).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn the_time_of_day_in_a_lease_neither_hastens_nor_delays_a_take_over() {
    let mut rig = Rig::start().await;
    for hours in [1, -1] {
        let patch = json!({"spec": {"renewTime": in_hours(hours)}});
        nobody_hurries(&mut rig, "renewTime an hour off", Edit::Patch(patch)).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_leader_whose_clock_is_an_hour_off_goes_on_leading() {
    let mut rig = Rig::slow().await;
    let leader = rig.leader().await;
    let before = rig.lease();
    for hours in [1, -1] {
        // For more than a lease everybody else sees times that are an hour off.
        for _ in 0..6 {
            rig.edit(json!({"spec": {"renewTime": in_hours(hours)}}))
                .await;
            is_whole_again(&rig, &before.holder, "renewed").await;
        }
        let back = rig.back(Instant::now(), "clock an hour off").await;
        assert_eq!(back.pod, leader, "{}", rig.logs());
    }
    let after = rig.lease();
    let same = (before.holder, before.transitions);
    assert_eq!((after.holder, after.transitions), same);
    assert!(rig.runs(&leader));
    rig.finish().await;
}
