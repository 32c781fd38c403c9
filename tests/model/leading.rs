//! What must hold of the election, alone and around the grants.

use super::ablation::Ablation;
use super::joint::Joint;
use super::protocol::Start;
use super::search::search;
use super::state::{Bounds, Breach};
use super::terms::Patience;
use crate::ANY;
use crate::AT_THE_RDS;
use crate::MOST;
use crate::MOST_DEEP;
use crate::is_deep;

const SECOND_LEADER: &[Breach] = &[Breach::TwoLeaders];

/// ticks, losses, stops, kills
const fn patience([ticks, losses, stops, kills]: [u8; 4]) -> Patience {
    Patience {
        ticks,
        losses,
        stops,
        kills,
    }
}

const fn calls(calls: u8, remakes: u8) -> Bounds {
    Bounds {
        calls,
        remakes,
        ..Bounds::NONE
    }
}

/// What a search of `joint` comes to: a breach and its steps, or nothing.
fn outcome(title: &str, joint: &Joint, most: usize) -> Option<(Breach, usize)> {
    let outcome = search(title, joint, most);
    println!("  {} states of one election", joint.elections());
    let found = outcome
        .counterexample
        .map(|found| (found.breach, found.steps.len()));
    assert!(found.is_some() || outcome.exhausted, "gave up: {title}");
    found
}

/// The election alone.
fn election(ablation: Option<Ablation>, of: [u8; 4]) -> Option<(Breach, usize)> {
    let joint = Joint::election(ablation, patience(of), false);
    outcome(&format!("election, {ablation:?} {of:?}"), &joint, MOST)
}

/// Calls served while the election goes on.
fn serving(
    ablation: Option<Ablation>,
    (start, bounds): (Start, Bounds),
    of: [u8; 4],
    breaches: &'static [Breach],
) -> Option<(Breach, usize)> {
    let joint = Joint::new(ablation, start, bounds, patience(of), breaches);
    let title = format!(
        "joint, {ablation:?} {start:?} {} calls {of:?}",
        bounds.calls
    );
    outcome(&title, &joint, MOST)
}

#[test]
fn no_two_processes_hold_valid_permits_at_once() {
    let rows = [
        // Two take-overs: three leaders.
        [6, 0, 0, 0],
        // The answer to a write never comes; the write may still arrive.
        [5, 1, 0, 0],
        // The clock of one that does not lead stands still.
        [5, 0, 1, 0],
        // A leader is killed, and its replacement holds the lock.
        [4, 0, 0, 1],
    ];
    for of in rows {
        assert_eq!(election(None, of), None, "{of:?}");
    }
}

#[test]
fn answers_to_looks_that_come_late_make_no_second_leader() {
    let ticks = if is_deep() { 6 } else { 3 };
    let joint = Joint::election(None, patience([ticks, 0, 0, 0]), true);
    let title = format!("election, slow looks, {ticks} ticks");
    assert_eq!(outcome(&title, &joint, MOST_DEEP), None);
}

#[test]
fn a_leader_whose_clock_stops_leads_beside_the_next() {
    let found = election(Some(Ablation::LeadersClockStops), [5, 0, 3, 0]);
    assert_eq!(found, Some((SECOND_LEADER[0], 7)));
}

#[test]
fn a_term_measured_from_the_answer_outlives_the_next() {
    let found = election(Some(Ablation::DeadlineFromReply), [6, 0, 0, 0]);
    assert_eq!(found, Some((SECOND_LEADER[0], 15)));
}

#[test]
fn a_lock_file_made_anew_lets_two_processes_lead() {
    let found = election(Some(Ablation::LockRecreated), [5, 0, 0, 0]);
    assert_eq!(found, Some((SECOND_LEADER[0], 4)));
}

#[test]
fn three_leaders_one_after_the_other_let_no_second_writer_in() {
    let created = |calls_begun| (Start::Created, calls(calls_begun, 0));
    let rows = [
        (created(1), [6, 0, 0, 0]),
        (created(2), [3, 0, 0, 0]),
        (created(1), [3, 0, 1, 0]),
        ((Start::GrantLost, calls(2, 1)), [3, 0, 0, 0]),
    ];
    for (begin, of) in rows {
        assert_eq!(serving(None, begin, of, ANY), None, "{begin:?} {of:?}");
    }
}

/// How leadership can be believed in wrongly: what follows each time is an OK that should not have
/// been given, and never a second writer.
#[test]
fn a_wrong_belief_in_leadership_answers_ok_and_lets_no_second_writer_in() {
    let rows = [
        (Ablation::NoDeadline, [3, 0, 0, 0], 19),
        (Ablation::LeadersClockStops, [3, 0, 2, 0], 19),
        (Ablation::LockRecreated, [0, 0, 0, 0], 16),
    ];
    for (ablation, of, steps) in rows {
        let one = (Start::Created, calls(1, 0));
        let found = serving(Some(ablation), one, of, ANY);
        assert_eq!(found, Some((Breach::OkUnderDeadEpoch, steps)));
        // A clock that may stop at any tick has many more ways to do so.
        let many = ablation == Ablation::LeadersClockStops && !is_deep();
        let more = (Start::Created, calls(if many { 1 } else { 2 }, 0));
        let found = serving(Some(ablation), more, of, AT_THE_RDS);
        assert_eq!(found, None, "{ablation:?}");
    }
}
