//! Random sequences of calls, of what machines do and of what goes wrong: at every step there is one
//! writer, what was answered is what the RDS holds, and at the end everything can be taken down.
//!
//! The seed is fixed, so that a run can be repeated; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` choose
//! others.
#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

#[allow(dead_code, reason = "each test target uses its own part of the bed")]
#[path = "support/bed.rs"]
mod bed;
#[allow(
    dead_code,
    reason = "each test target uses its own part of the deposits"
)]
#[path = "support/deposit.rs"]
mod deposit;
#[path = "random_operations/play.rs"]
mod play;
#[path = "random_operations/step.rs"]
mod step;

use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use play::Play;
use step::{Step, steps};

/// With 40 steps of about 10 ms each, 50 cases take less than half a minute in a debug build.
const CASES: u32 = 50;
const LONGEST: usize = 40;
/// A failing case is made smaller for about as long as all cases together take.
const SHRINKS: u32 = 60;

fn config() -> Config {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: SHRINKS,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(7);
    }
    config
}

fn run(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut play = Play::new().await;
        for step in steps {
            play.take(*step).await;
        }
        play.take_down().await;
    });
}

#[test]
fn no_sequence_of_calls_and_faults_ends_in_a_second_writer_a_wrong_answer_or_a_leak() {
    let mut runner = TestRunner::new(config());
    let played = runner.run(&vec(steps(), 1..LONGEST), |steps| {
        run(&steps);
        Ok(())
    });
    assert!(played.is_ok(), "{}", played.unwrap_err());
}
