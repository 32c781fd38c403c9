//! Random schedules: whatever comes, leaves and ends in whatever order, the promises hold.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::super::queue::{MAX_WAITING, Queue, Request};
use super::*;

/// One thing that happens to a queue.
#[derive(Debug, Clone)]
enum Step {
    Push(usize, Lane),
    Start,
    /// The running job at this place (modulo their number) ends.
    End(usize),
    /// The caller of the waiting job at this place leaves.
    Leave(usize),
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![
        Just(Lane::Unpublish),
        Just(Lane::Publish),
        Just(Lane::Repair)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_usize, lane()).prop_map(|(volume, lane)| Step::Push(volume, lane)),
        3 => Just(Step::Start),
        2 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

/// The queue in the plainest words: jobs by the order in which they came.
#[derive(Default)]
struct Plain {
    waiting: BTreeMap<u64, (usize, Lane)>,
    running: Vec<usize>,
    passed_over: HashMap<Lane, u32>,
}

impl Plain {
    /// The lanes that somebody could be started from.
    fn lanes(&self) -> Vec<Lane> {
        let mut first = BTreeMap::new();
        for (volume, lane) in self.waiting.values() {
            first.entry(*volume).or_insert(*lane);
        }
        first.retain(|volume, _| !self.running.contains(volume));
        first.into_values().collect()
    }

    fn start(&mut self, job: u64) -> Result<(), TestCaseError> {
        let lanes = self.lanes();
        let (volume, lane) = self.waiting[&job];
        prop_assert!(!self.running.contains(&volume), "two at once on {volume}");
        let before = self
            .waiting
            .range(..job)
            .any(|(_, other)| other.0 == volume);
        prop_assert!(!before, "job {job} overtook one of its own volume");
        for other in [Lane::Unpublish, Lane::Publish, Lane::Repair] {
            let passed = self.passed_over.entry(other).or_default();
            let waits = other != lane && lanes.contains(&other);
            *passed = if waits { *passed + 1 } else { 0 };
            let most = match other {
                Lane::Unpublish => 2,
                Lane::Publish => 5,
                Lane::Repair => 16,
            };
            prop_assert!(*passed <= most, "{other:?} was passed over {passed} times");
        }
        self.waiting.remove(&job);
        self.running.push(volume);
        Ok(())
    }
}

fn play(steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut queue, mut plain) = (Queue::default(), Plain::default());
    let mut jobs = 0;
    let end = std::iter::repeat_n([Step::Start, Step::End(0)], steps.len()).flatten();
    for step in steps.iter().cloned().chain(end) {
        match step {
            Step::Push(number, lane) => {
                jobs += 1;
                let request = Request {
                    id: volume(number),
                    lane,
                    operation: "publish",
                    since: Instant::now(),
                    job: jobs,
                };
                let ahead = plain.waiting.values().filter(|job| job.0 == number).count();
                let taken = queue.push(request).is_ok();
                prop_assert_eq!(taken, ahead < MAX_WAITING);
                if taken {
                    plain.waiting.insert(jobs, (number, lane));
                }
            }
            Step::Start => match queue.next() {
                Some(request) => plain.start(request.job)?,
                None => prop_assert!(plain.lanes().is_empty(), "somebody could be started"),
            },
            Step::End(place) if !plain.running.is_empty() => {
                let ended = plain.running.remove(place % plain.running.len());
                queue.done(&volume(ended));
            }
            Step::Leave(place) if !plain.waiting.is_empty() => {
                let gone = *plain
                    .waiting
                    .keys()
                    .nth(place % plain.waiting.len())
                    .unwrap();
                queue.forget(|job| *job == gone);
                plain.waiting.remove(&gone);
            }
            Step::End(_) | Step::Leave(_) => {}
        }
        prop_assert_eq!(queue.len(), plain.waiting.len());
    }
    prop_assert_eq!(queue.len(), 0, "everybody had a turn");
    prop_assert_eq!(queue.volumes(), 0, "nothing is kept");
    Ok(())
}

/// A caller: when it comes, on which volume, how long its job takes, when it leaves, all in ms.
#[derive(Debug, Clone)]
struct Visit {
    comes: u64,
    volume: usize,
    lane: Lane,
    takes: u64,
    leaves_after: Option<u64>,
}

fn visit() -> impl Strategy<Value = Visit> {
    let leaves = proptest::option::weighted(0.3, 0..40_u64);
    (0..60_u64, 0..4_usize, lane(), 0..15_u64, leaves).prop_map(
        |(comes, volume, lane, takes, leaves_after)| Visit {
            comes,
            volume,
            lane,
            takes,
            leaves_after,
        },
    )
}

/// Plays the visits in paused time; volume, caller and whether it began (or ended), in order.
fn visits(mut all: Vec<Visit>) -> Vec<(usize, usize, bool)> {
    all.sort_by_key(|visit| visit.comes);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (bed, record) = (Bed::new(), Arc::new(Mutex::new(Vec::new())));
        let start = Instant::now();
        for (caller, visit) in all.into_iter().enumerate() {
            tokio::time::sleep_until(start + Duration::from_millis(visit.comes)).await;
            let (log, number) = (Arc::clone(&record), visit.volume);
            let work = async move {
                log.lock().unwrap().push((number, caller, true));
                sleep(Duration::from_millis(visit.takes)).await;
                log.lock().unwrap().push((number, caller, false));
                Ok(())
            };
            let call = bed.call_for(&volume(number), visit.lane, "publish", work);
            if let Some(after) = visit.leaves_after {
                tokio::spawn(async move {
                    sleep(Duration::from_millis(after)).await;
                    call.abort();
                });
            }
        }
        sleep(Duration::from_secs(1)).await;
        bed.shards.drain().await;
        std::mem::take(&mut *record.lock().unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_keeps_the_order_of_each_volume_and_starves_no_lane(
        steps in proptest::collection::vec(step(), 0..400),
    ) {
        play(&steps)?;
    }

    #[test]
    fn jobs_of_a_volume_neither_overlap_nor_overtake_and_who_stays_is_served(
        all in proptest::collection::vec(visit(), 0..40),
    ) {
        let stay = all.iter().filter(|visit| visit.leaves_after.is_none()).count();
        let record = visits(all);
        for number in 0..4 {
            let of_volume: Vec<_> = record.iter().filter(|event| event.0 == number).collect();
            for pair in of_volume.chunks(2) {
                prop_assert_eq!((pair[0].1, pair[0].2), (pair[1].1, true), "{:?}", of_volume);
                prop_assert!(!pair[1].2, "what has begun ends before the next begins");
            }
            let callers: Vec<_> = of_volume.iter().map(|event| event.1).collect();
            prop_assert!(callers.is_sorted(), "in order of arrival: {:?}", callers);
        }
        prop_assert!(record.len() >= 2 * stay, "whoever stays is served");
    }
}
