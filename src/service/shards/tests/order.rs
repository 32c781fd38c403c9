//! Who runs when.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::domain::error::{Effect, Kind};

#[tokio::test(start_paused = true)]
async fn jobs_of_a_volume_run_in_order_of_arrival_without_those_whose_callers_left() {
    let (bed, id) = (Bed::new(), volume(1));
    // The lanes order nothing within a volume.
    let lanes = [Lane::Repair, Lane::Publish, Lane::Unpublish, Lane::Repair];
    let names = ["first", "second", "third", "fourth"];
    let mut callers = Vec::new();
    for (lane, name) in lanes.into_iter().zip(names) {
        callers.push(bed.call(&id, lane, name));
        quiet().await;
    }
    callers.remove(2).abort();
    for expected in 1..=3 {
        quiet().await;
        assert_eq!(bed.begun().len(), expected, "one at a time");
        bed.pass(1).await;
    }
    assert_eq!(bed.begun(), ["first", "second", "fourth"]);
    for caller in callers {
        answer(caller).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn different_volumes_run_side_by_side_and_one_that_hangs_holds_up_no_other() {
    let bed = Bed::new();
    let _hung = bed.hang(&volume(0));
    let _behind = bed.call(&volume(0), Lane::Unpublish, "behind");
    let callers = [
        bed.call(&volume(1), Lane::Publish, "same shard"),
        bed.call(&volume(2), Lane::Repair, "same shard"),
        bed.call(&elsewhere(1), Lane::Publish, "another shard"),
    ];
    quiet().await;
    assert_eq!(bed.begun().len(), 3, "{:?}", bed.begun());
    bed.pass(3).await;
    for caller in callers {
        answer(caller).await.unwrap();
    }
    assert!(!bed.begun().contains(&"behind"));
}

/// Fills the shard, so that only one job can run besides those that hang.
async fn narrow(bed: &Bed) -> Vec<Caller> {
    let hung = (1000..1015).map(|number| bed.hang(&volume(number)));
    let hung: Vec<_> = hung.collect();
    quiet().await;
    assert_eq!(bed.load(0).running, 15);
    hung
}

#[tokio::test(start_paused = true)]
async fn a_full_shard_starts_detaches_first_and_repairs_last() {
    let bed = Bed::new();
    let _hung = narrow(&bed).await;
    let jobs = [
        (0, Lane::Publish, "under way"),
        (1, Lane::Repair, "repair"),
        (2, Lane::Publish, "publish"),
        (3, Lane::Unpublish, "unpublish"),
        (4, Lane::Publish, "publish, later"),
        (5, Lane::Unpublish, "unpublish, later"),
    ];
    for (number, lane, name) in jobs {
        bed.call(&volume(number), lane, name);
        quiet().await;
    }
    bed.pass(5).await;
    let expected = [
        "under way",
        "unpublish",
        "unpublish, later",
        "publish",
        "publish, later",
        "repair",
    ];
    assert_eq!(bed.begun(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_detaches_starves_neither_attaches_nor_repairs() {
    let bed = Bed::new();
    let _hung = narrow(&bed).await;
    for number in 0..60 {
        bed.call(&volume(number), Lane::Unpublish, "unpublish");
    }
    bed.call(&volume(100), Lane::Publish, "publish");
    bed.call(&volume(101), Lane::Repair, "repair");
    quiet().await;
    bed.pass(61).await;
    let begun = bed.begun();
    let place = |name| begun.iter().position(|found| *found == name).unwrap();
    assert_eq!(place("publish"), 4, "behind four detaches");
    assert_eq!(place("repair"), 16, "behind sixteen others");
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_is_carried_through_although_its_caller_left() {
    let (bed, id) = (Bed::new(), volume(1));
    let ended = Arc::new(AtomicBool::new(false));
    let (end, passes) = (Arc::clone(&ended), Arc::clone(&bed.passes));
    let caller = bed.call_for(&id, Lane::Publish, "publish", async move {
        passes.acquire().await.unwrap().forget();
        end.store(true, Ordering::Relaxed);
        Ok(())
    });
    quiet().await;
    caller.abort();
    quiet().await;
    assert_eq!(bed.load(0).running, 1);
    bed.pass(1).await;
    assert!(ended.load(Ordering::Relaxed));
    assert_eq!(bed.load(0).running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_panics_has_an_unknown_effect_and_its_volume_goes_on() {
    let (bed, id) = (Bed::new(), volume(1));
    let broken = bed.call_for(&id, Lane::Publish, "publish", async {
        std::panic::resume_unwind(Box::new("this panic is part of the test"))
    });
    let next = bed.call(&id, Lane::Unpublish, "unpublish");
    let error = answer(broken).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Bug, Effect::Unknown));
    assert!(error.context().contains("broke off"), "{error}");
    bed.pass(1).await;
    answer(next).await.unwrap();
}
