//! Election and grants, explored in every order of events within bounds: three processes, two nodes,
//! one volume, late and repeated lines, lost replies, forced detach, restored configurations, pauses,
//! clocks that stop.
//!
//! `docs/model.md` says what is modelled and what is not. `cargo test --test model -- --nocapture`
//! prints how much was searched, and the shortest counterexample of each ablation step by step.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a model that is not what it was made to be fails by panicking"
)]

mod model {
    pub(crate) mod ablation;
    pub(crate) mod elections;
    pub(crate) mod hash;
    pub(crate) mod joint;
    pub(crate) mod leader;
    mod leading;
    pub(crate) mod names;
    pub(crate) mod programs;
    pub(crate) mod protocol;
    pub(crate) mod search;
    pub(crate) mod state;
    pub(crate) mod tell;
    pub(crate) mod terms;
    pub(crate) mod unfenced;
}

use model::ablation::Ablation;
use model::protocol::{Protocol, Start};
use model::search::search;
use model::state::{Bounds, Breach};

const ANY: &[Breach] = &[
    Breach::TwoWriters,
    Breach::ReplayedWrite,
    Breach::OkUnderDeadEpoch,
];
const AT_THE_RDS: &[Breach] = &[Breach::TwoWriters, Breach::ReplayedWrite];

/// Transitions after which a search gives up, so that it stays below 1 GiB. What gave up has shown
/// nothing, and fails.
const MOST: usize = 6_000_000;

/// The same where somebody asked for the deep search.
const MOST_DEEP: usize = 100_000_000;

/// Set to anything, it makes the searches of the whole protocol go deeper.
const DEEP: &str = "RDS_CSI_MODEL_DEEP";

fn is_deep() -> bool {
    std::env::var_os(DEEP).is_some()
}

/// calls, terms, losses, restores, remakes, copies
type Limits = [u8; 6];

const fn bounds(of: Limits) -> Bounds {
    let [calls, terms, losses, restores, remakes, copies] = of;
    Bounds {
        calls,
        terms,
        losses,
        restores,
        remakes,
        copies,
    }
}

/// The whole protocol never breaks within `of`, and every state within was seen.
fn holds(start: Start, of: Limits, most: usize) {
    let protocol = Protocol::new(None, start, bounds(of), ANY);
    let outcome = search(&format!("whole, {start:?} {of:?}"), &protocol, most);
    assert!(outcome.exhausted, "{outcome:?}");
}

/// Even without one rule there is one writer, and no write comes late.
fn holds_at_the_rds(ablation: Option<Ablation>, start: Start, of: Limits) {
    let most = if is_deep() { MOST_DEEP } else { MOST };
    let protocol = Protocol::new(ablation, start, bounds(of), AT_THE_RDS);
    let outcome = search(&format!("{ablation:?}, {start:?} {of:?}"), &protocol, most);
    assert!(outcome.exhausted, "{outcome:?}");
}

/// Without one rule the protocol breaks in this way after so many steps; with it, within the same
/// bounds, it does not.
fn breaks(ablation: Ablation, start: Start, of: Limits, breach: Breach, steps: usize) {
    let protocol = Protocol::new(Some(ablation), start, bounds(of), ANY);
    let outcome = search(&format!("{ablation:?}, {start:?} {of:?}"), &protocol, MOST);
    let found = outcome.counterexample.expect("a counterexample");
    assert_eq!((found.breach, found.steps.len()), (breach, steps));
    holds(start, of, MOST);
}

#[test]
fn no_two_writers_no_replayed_write_and_no_ok_of_a_dead_epoch_from_creation_on() {
    holds(Start::Created, [2, 1, 1, 0, 0, 0], MOST);
    holds(Start::Created, [3, 2, 0, 0, 0, 0], MOST);
    if is_deep() {
        holds(Start::Created, [3, 1, 1, 0, 0, 0], MOST_DEEP);
        holds(Start::Created, [3, 1, 1, 0, 1, 0], MOST_DEEP);
        holds(Start::Created, [4, 2, 0, 0, 1, 0], MOST_DEEP);
    }
}

#[test]
fn no_two_writers_no_replayed_write_and_no_ok_of_a_dead_epoch_after_a_lost_grant() {
    holds(Start::GrantLost, [2, 1, 1, 0, 2, 0], MOST);
    holds(Start::GrantLost, [2, 2, 0, 0, 2, 0], MOST);
    if is_deep() {
        holds(Start::GrantLost, [2, 0, 2, 0, 2, 0], MOST_DEEP);
    }
}

#[test]
fn a_restored_configuration_lets_no_second_writer_in() {
    holds(Start::Created, [3, 1, 0, 1, 1, 0], MOST);
}

#[test]
fn a_revoke_or_a_reopen_that_runs_twice_lets_no_second_writer_in() {
    holds(Start::Created, [3, 1, 0, 0, 0, 1], MOST);
    holds(Start::GrantLost, [2, 1, 0, 0, 2, 1], MOST);
}

#[test]
fn where_find_and_set_are_one_step_any_line_may_run_twice() {
    let atomic = Some(Ablation::AtomicSet);
    holds_at_the_rds(atomic, Start::Created, [3, 1, 0, 0, 0, 1]);
    holds_at_the_rds(atomic, Start::GrantLost, [2, 1, 0, 0, 1, 1]);
    if is_deep() {
        holds_at_the_rds(atomic, Start::Created, [3, 1, 1, 0, 0, 1]);
    }
}

/// What was told must not be written again by a line that is still on its way.
#[test]
fn a_publish_that_runs_twice_lets_a_second_writer_in() {
    let of = [2, 1, 0, 0, 1, 1];
    breaks(
        Ablation::PublishCopied,
        Start::GrantLost,
        of,
        Breach::TwoWriters,
        26,
    );
}

#[test]
fn a_remake_that_runs_twice_lets_a_second_writer_in() {
    let of = [2, 1, 0, 0, 1, 1];
    breaks(
        Ablation::RemakeCopied,
        Start::GrantLost,
        of,
        Breach::TwoWriters,
        25,
    );
}

/// A late line of a former leader overwrites the grant that a node uses. If the node that the line
/// was for may keep that, the other one's lost grant is brought back behind it.
#[test]
fn an_untold_grant_that_beats_a_told_claim_replays_a_write() {
    let of = [4, 1, 0, 0, 1, 0];
    breaks(
        Ablation::UntoldBeatsTold,
        Start::Created,
        of,
        Breach::ReplayedWrite,
        47,
    );
}

#[test]
fn without_conditions_a_late_remake_lets_a_second_writer_in() {
    let of = [2, 1, 0, 0, 1, 0];
    breaks(
        Ablation::NoCondition,
        Start::GrantLost,
        of,
        Breach::TwoWriters,
        22,
    );
}

#[test]
fn an_untold_pair_answered_as_it_stands_lets_a_second_writer_in() {
    let of = [3, 1, 0, 0, 0, 0];
    breaks(
        Ablation::UntoldAsItStands,
        Start::Created,
        of,
        Breach::TwoWriters,
        23,
    );
}

#[test]
fn without_a_cut_before_the_open_a_late_remake_leaves_a_second_writer() {
    let of = [2, 1, 0, 0, 1, 0];
    breaks(
        Ablation::NoCutBeforeOpen,
        Start::GrantLost,
        of,
        Breach::TwoWriters,
        21,
    );
}

#[test]
fn a_remake_in_one_step_lets_a_second_writer_in() {
    let of = [2, 1, 0, 0, 1, 0];
    breaks(
        Ablation::RemakeInOneStep,
        Start::GrantLost,
        of,
        Breach::TwoWriters,
        20,
    );
}

#[test]
fn a_kept_subsystem_name_replays_a_write_over_the_node_that_came_between() {
    let of = [3, 0, 0, 0, 0, 0];
    breaks(
        Ablation::KeptSubsystem,
        Start::Created,
        of,
        Breach::ReplayedWrite,
        50,
    );
}

#[test]
fn names_changed_under_a_live_export_leave_a_second_writer() {
    let of = [2, 0, 0, 0, 0, 0];
    breaks(Ablation::NoCut, Start::Created, of, Breach::TwoWriters, 25);
}

#[test]
fn a_device_whose_sessions_outlive_the_export_has_a_second_writer() {
    let of = [2, 0, 0, 0, 0, 0];
    breaks(
        Ablation::SessionsOutliveExport,
        Start::Created,
        of,
        Breach::TwoWriters,
        31,
    );
}

#[test]
fn without_a_deadline_a_dead_epoch_answers_ok() {
    let of = [1, 1, 0, 0, 0, 0];
    breaks(
        Ablation::NoDeadline,
        Start::Created,
        of,
        Breach::OkUnderDeadEpoch,
        12,
    );
}

#[test]
fn calls_served_before_a_lost_grant_is_back_replay_a_write() {
    let of = [2, 0, 0, 0, 1, 0];
    breaks(
        Ablation::ClaimIgnored,
        Start::GrantLost,
        of,
        Breach::ReplayedWrite,
        30,
    );
}

#[test]
fn without_a_deadline_there_is_still_one_writer() {
    let unbound = Some(Ablation::NoDeadline);
    holds_at_the_rds(unbound, Start::Created, [2, 1, 0, 0, 0, 0]);
    holds_at_the_rds(unbound, Start::GrantLost, [2, 1, 0, 0, 1, 0]);
}

#[test]
fn a_revoke_that_forgets_the_cut_lets_nobody_in_while_other_rules_stand() {
    let uncut = Some(Ablation::NoCutInRevoke);
    holds_at_the_rds(uncut, Start::Created, [3, 1, 0, 0, 0, 0]);
    holds_at_the_rds(uncut, Start::GrantLost, [2, 1, 0, 0, 1, 0]);
}

/// A gap of the mode: its only changeable name is written in one step.
#[test]
fn where_only_host_names_change_a_late_remake_lets_a_second_writer_in() {
    let of = [2, 1, 0, 0, 1, 0];
    breaks(
        Ablation::KeptSubsystem,
        Start::GrantLost,
        of,
        Breach::TwoWriters,
        20,
    );
}

/// The two steps of a re-make protect against one that comes late, not against two, both stopped
/// between `find` and `set`. So that one was sent is put on record first, where every leader sees it.
#[test]
fn two_late_remakes_that_nobody_recorded_let_a_second_writer_in() {
    let leaders_change = [2, 1, 1, 0, 2, 0];
    let one_process_alone = [2, 0, 2, 0, 2, 0];
    for of in [leaders_change, one_process_alone] {
        let protocol = Protocol::new(Some(Ablation::NoRecord), Start::GrantLost, bounds(of), ANY);
        let outcome = search(&format!("NoRecord, GrantLost {of:?}"), &protocol, MOST);
        let found = outcome.counterexample.expect("a counterexample");
        assert_eq!((found.breach, found.steps.len()), (Breach::TwoWriters, 27));
    }
}
