//! Cut, drain, and what is left behind.

use futures::FutureExt;

use super::*;
use crate::domain::error::{Effect, Kind};

const WHY: &str = "the Lease is lost";

fn outcome(error: &Error) -> (Kind, Effect) {
    (error.kind(), error.effect())
}

#[tokio::test(start_paused = true)]
async fn a_cut_answers_everybody_drops_what_runs_and_starts_nothing() {
    let (bed, held) = (Bed::new(), Arc::new(()));
    let seen = Arc::clone(&held);
    let running = bed.call_for(&volume(1), Lane::Publish, "publish", async move {
        std::future::pending::<()>().await;
        drop(seen);
        Ok(())
    });
    let waiting = bed.call(&volume(1), Lane::Unpublish, "unpublish");
    quiet().await;
    assert_eq!(Arc::strong_count(&held), 2);
    bed.shards.cut(WHY);
    bed.shards.cut("whatever is said later");
    let later = bed.call(&volume(2), Lane::Publish, "publish");
    let rows = [
        (running, "publish of csi-", Effect::Unknown),
        (waiting, "unpublish of csi-", Effect::None),
        (later, "publish of csi-", Effect::None),
    ];
    for (caller, what, effect) in rows {
        let error = answer(caller).await.unwrap_err();
        assert_eq!(outcome(&error), (Kind::NotLeader, effect), "{error}");
        assert!(error.context().starts_with(what), "{error}");
        assert!(error.context().ends_with(WHY), "{error}");
    }
    bed.shards.drain().await;
    assert_eq!(Arc::strong_count(&held), 1, "the future was dropped");
    assert_eq!(bed.begun(), [""; 0]);
    let error = answer(bed.hang(&volume(3))).await.unwrap_err();
    assert!(error.context().ends_with(WHY), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_success_that_comes_after_the_cut_is_not_answered() {
    let bed = Bed::new();
    let shards = Arc::clone(&bed.shards);
    let caller = bed.call_for(&volume(1), Lane::Publish, "publish", async move {
        shards.cut(WHY);
        Ok(())
    });
    let error = answer(caller).await.unwrap_err();
    assert_eq!(outcome(&error), (Kind::NotLeader, Effect::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_drain_carries_through_what_was_taken_and_takes_no_more() {
    let bed = Bed::new();
    let taken = [
        bed.call(&volume(1), Lane::Publish, "publish"),
        bed.call(&volume(1), Lane::Unpublish, "unpublish"),
        bed.call(&elsewhere(1), Lane::Repair, "repair"),
    ];
    quiet().await;
    let mut drained = Box::pin(bed.shards.drain());
    assert!((&mut drained).now_or_never().is_none());
    let unused = format!("csi-5{:027x}", 0).parse().unwrap();
    for id in [volume(1), volume(2), unused] {
        let refused = answer(bed.hang(&id)).await.unwrap_err();
        assert_eq!(outcome(&refused), (Kind::NotLeader, Effect::None));
        assert!(refused.context().contains("shutting down"), "{refused}");
    }
    bed.pass(2).await;
    assert!((&mut drained).now_or_never().is_none(), "one still runs");
    bed.pass(1).await;
    assert!(drained.now_or_never().is_some());
    for caller in taken {
        answer(caller).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_idle_shards_is_over_at_once_and_a_cut_ends_one_that_hangs() {
    let bed = Bed::new();
    assert!(bed.shards.drain().now_or_never().is_some(), "never used");

    let bed = Bed::new();
    let hung = bed.hang(&volume(1));
    quiet().await;
    let mut drained = Box::pin(bed.shards.drain());
    assert!((&mut drained).now_or_never().is_none());
    bed.shards.cut(WHY);
    drained.await;
    let error = answer(hung).await.unwrap_err();
    assert_eq!(outcome(&error), (Kind::NotLeader, Effect::Unknown));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_the_last_owner_goes() {
    let bed = Bed::new();
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let mut callers = Vec::new();
    for number in 0..4 {
        for id in [volume(number), elsewhere(number)] {
            callers.push(bed.call(&id, Lane::Publish, "publish"));
            // A job that holds the shards, as those of the services do, and whose caller leaves.
            let shards = Arc::clone(&bed.shards);
            let left = bed.call_for(&id, Lane::Publish, "publish", async move {
                drop(shards);
                Ok(())
            });
            quiet().await;
            left.abort();
        }
    }
    bed.pass(7).await;
    assert!(alive() > 0);
    let (last, passes) = (Arc::downgrade(&bed.shards), Arc::clone(&bed.passes));
    callers.pop().unwrap().abort();
    drop(bed);
    quiet().await;
    assert!(last.upgrade().is_none());
    assert_eq!(alive(), 2, "one job, which has begun, and its shard");
    passes.add_permits(1);
    quiet().await;
    assert_eq!(alive(), 0);
}
