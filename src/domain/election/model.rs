//! Random schedules: three candidates, one compare-and-swap register, skewed clocks, delays, lost
//! replies, pauses, crashes, successors in the same pod, and hands that edit the Lease. What must hold
//! is asked after every step.

mod mishap;
mod pod;
mod register;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use super::Timing;
use pod::Lock;
use world::{MINUTE, World};

/// Runs `minutes` with faults and two without.
fn run(seed: u64, minutes: u64, skews: [i64; 3]) -> World {
    let mut world = World::new(seed, skews, Timing::default(), Lock::Kept);
    world.run_until(minutes * MINUTE);
    world.calm();
    world.run_until((minutes + 2) * MINUTE);
    world
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 150, ..ProptestConfig::default() })]

    /// `World` itself asserts after every step that no two processes hold a valid leadership, and
    /// that every epoch is above every former one that left a trace.
    #[test]
    fn never_two_leaders_and_one_in_the_end(seed: u64) {
        let world = run(seed, 10, [0, 3_600_000, -3_600_000]);
        prop_assert_eq!(world.leaders(), 1, "after two quiet minutes");
        prop_assert!(world.terms() > 0);
    }

    #[test]
    fn nobody_reads_another_machines_clock(seed: u64, skews: [i64; 3]) {
        let skews = skews.map(|skew| skew % 100_000_000_000);
        let (right, wrong) = (run(seed, 3, [0; 3]), run(seed, 3, skews));
        prop_assert_eq!(right.trace(), wrong.trace());
    }
}

/// A checker that cannot fail proves nothing: without the margin between lease and deadline it does.
#[test]
fn the_model_finds_two_leaders_where_the_deadline_is_longer_than_the_lease() {
    let caught = (0..40).any(|seed| {
        std::panic::catch_unwind(|| {
            let unsound = Timing::default().with_deadline(Duration::from_secs(20));
            World::new(seed, [0; 3], unsound, Lock::Kept).run_until(10 * MINUTE);
        })
        .is_err()
    });
    assert!(caught, "40 schedules of an unsound election went well");
}

/// Nor does one that never tries what it checks.
#[test]
fn short_cuts_are_tried_and_where_the_lock_is_made_anew_two_leaders_answer() {
    let run = |seed, lock| {
        let mut world = World::new(seed, [0; 3], Timing::default(), lock);
        world.run_until(10 * MINUTE);
        world
    };
    let kept: Vec<World> = (0..40).map(|seed| run(seed, Lock::Kept)).collect();
    let tried: usize = kept.iter().map(|world| world.short_cuts).sum();
    assert!(tried >= 40, "{tried} short cuts in 40 schedules");
    assert!(kept.iter().all(|world| !world.two_led));
    let recreated = (0..40).any(|seed| run(seed, Lock::Recreated).two_led);
    assert!(recreated, "40 schedules without a lock went well");
}
