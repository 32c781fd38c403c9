//! How much may wait, what callers are told, and what status shows.

use super::super::queue::MAX_WAITING;
use super::*;
use crate::domain::error::{Effect, Kind};

const PER_SHARD: usize = super::super::MAX_WAITING / 16;
const AT_ONCE: usize = super::super::MAX_RUNNING / 16;

#[tokio::test(start_paused = true)]
async fn a_long_line_is_refused_by_name_and_those_who_leave_free_their_places() {
    let (bed, id) = (Bed::new(), volume(1));
    let _first = bed.call(&id, Lane::Publish, "publish");
    quiet().await;
    let waiting: Vec<_> = (0..MAX_WAITING)
        .map(|_| bed.call(&id, Lane::Unpublish, "unpublish"))
        .collect();
    quiet().await;
    let refused = answer(bed.call(&id, Lane::Publish, "delete"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.effect()),
        (Kind::Busy, Effect::None)
    );
    for part in ["delete of csi-", "16 other calls", "publish is under way"] {
        assert!(refused.context().contains(part), "{refused}");
    }
    for caller in waiting {
        caller.abort();
    }
    quiet().await;
    assert_eq!(bed.load(0).waiting, 0);
    let taken = bed.call(&id, Lane::Publish, "delete");
    bed.pass(2).await;
    answer(taken).await.unwrap();
    assert_eq!(bed.begun(), ["publish", "delete"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_of_which_nothing_has_begun_says_so() {
    let bed = Bed::new();
    for number in 0..AT_ONCE {
        bed.hang(&volume(number));
    }
    for _ in 0..MAX_WAITING {
        bed.hang(&volume(100));
    }
    quiet().await;
    let refused = answer(bed.hang(&volume(100))).await.unwrap_err();
    assert!(
        refused.context().contains("none of them is under way"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_shard_is_unavailable_and_the_others_serve() {
    let bed = Bed::new();
    let mut callers = Vec::new();
    // One of each volume runs, and then sixteen of it wait.
    for round in 0..=MAX_WAITING {
        callers.extend((0..AT_ONCE).map(|number| bed.hang(&volume(number))));
        quiet().await;
        assert_eq!(bed.load(0).waiting, round * AT_ONCE);
    }
    assert_eq!(bed.load(0).waiting, PER_SHARD);
    assert_eq!(bed.load(0).running, AT_ONCE);
    let refused = answer(bed.hang(&volume(99))).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.effect()),
        (Kind::Unavailable, Effect::None)
    );
    for part in ["hang of csi-", "256 operations wait", "full"] {
        assert!(refused.context().contains(part), "{refused}");
    }
    let served = bed.call(&elsewhere(1), Lane::Publish, "publish");
    bed.pass(1).await;
    answer(served).await.unwrap();
    // One who waits leaves, and its place is free.
    callers.pop().unwrap().abort();
    quiet().await;
    let _taken = bed.hang(&volume(99));
    quiet().await;
    assert_eq!(bed.load(0).waiting, PER_SHARD);
}

#[tokio::test(start_paused = true)]
async fn fewer_shards_share_the_same_room() {
    let shards = Arc::new(Shards::new(ShardCount::new(1).unwrap()));
    let bed = Bed {
        shards,
        ..Bed::new()
    };
    for number in 0..=super::super::MAX_RUNNING {
        bed.hang(&volume(number));
    }
    quiet().await;
    let load = bed.shards.load();
    assert_eq!(load.len(), 1);
    let counts: Vec<_> = load
        .iter()
        .map(|load| (load.running, load.waiting))
        .collect();
    assert_eq!(counts, [(256, 1)]);
}

#[tokio::test(start_paused = true)]
async fn load_tells_of_each_shard_how_long_its_oldest_has_waited() {
    let bed = Bed::new();
    let second = Duration::from_secs(1);
    let ages = || bed.load(0).oldest.map(|age| age.as_secs());
    let _running = bed.call(&volume(1), Lane::Publish, "publish");
    quiet().await;
    assert_eq!((bed.load(0).running, ages()), (1, None));
    let oldest = bed.call(&volume(1), Lane::Publish, "publish");
    tokio::time::sleep(3 * second).await;
    let _younger = bed.call(&volume(1), Lane::Publish, "publish");
    tokio::time::sleep(2 * second).await;
    assert_eq!((bed.load(0).waiting, ages()), (2, Some(5)));
    assert_eq!(bed.load(0).shard.index(), 0);
    oldest.abort();
    quiet().await;
    assert_eq!((bed.load(0).waiting, ages()), (1, Some(2)));
    bed.pass(2).await;
    assert_eq!((bed.load(0).waiting, bed.load(0).running), (0, 0));
    assert_eq!(ages(), None);
    assert_eq!(bed.shards.load().len(), 16);
}
