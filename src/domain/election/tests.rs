//! Single steps of the election, as tables.

mod leading;
mod short_cut;

use std::time::Duration;

use super::*;
use crate::domain::error::Error;

const LEASE: u64 = 10_000;
const DEADLINE: u64 = 6_000;

fn ms(at: u64) -> BootTime {
    BootTime::new(Duration::from_millis(at))
}

fn holder(name: &str) -> HolderId {
    HolderId::from_record(name).unwrap()
}

fn view(version: u64, hold: Hold) -> LeaseView {
    LeaseView {
        version: Version::new(version.to_string()),
        hold,
        renewed: "2020-01-01T00:00:00.000000Z".into(),
        lasts: Some(Duration::from_secs(10)),
        transitions: 3,
        epoch: Epoch::from_record(5),
    }
}

fn held(version: u64, name: &str) -> LeaseView {
    view(version, Hold::Held(holder(name)))
}

fn offered(version: u64, name: &str) -> LeaseView {
    view(version, Hold::Offered(holder(name)))
}

fn acquire(version: u64, epoch: u64) -> Intent {
    Intent::TryAcquire {
        expecting: Version::new(version.to_string()),
        epoch: Epoch::from_record(epoch),
    }
}

fn renew(epoch: u64, offer: bool) -> Intent {
    Intent::Renew {
        epoch: Epoch::from_record(epoch),
        offer,
    }
}

fn lost_call() -> Failure {
    Failure::Call(Error::bug("no answer"))
}

fn rds(highest: u64, sent: u64) -> Event {
    Event::RdsRead {
        highest: Epoch::from_record(highest),
        sent: ms(sent),
    }
}

/// A candidate called `me` that has seen these states, without jitter.
fn follower(seen: &[(u64, Option<LeaseView>)]) -> Election {
    let mut election = Election::new(holder("me"), Timing::default());
    for (at, view) in seen {
        election.on(Event::Seen(Ok(view.clone())), ms(*at), 0);
    }
    election
}

/// `me`, leading at epoch 6 since 0 ms.
fn leader() -> Election {
    let mut election = follower(&[(0, Some(view(1, Hold::Released)))]);
    assert_eq!(election.intent(ms(0)), acquire(1, 6));
    written(&mut election, 0, 1, Ok(mine(2, 6)));
    election.on(rds(5, 1), ms(2), 0);
    assert!(matches!(election.standing(), Standing::Leading(_)));
    election
}

fn mine(version: u64, epoch: u64) -> LeaseView {
    LeaseView {
        epoch: Epoch::from_record(epoch),
        ..held(version, "me")
    }
}

fn written(election: &mut Election, sent: u64, now: u64, result: Result<LeaseView, Failure>) {
    let sent = ms(sent);
    election.on(Event::Written { sent, result }, ms(now), 0);
}

fn serves(election: &Election, now: u64) -> bool {
    match election.standing() {
        Standing::Leading(leadership) => leadership.check(ms(now)).is_ok(),
        _ => false,
    }
}

#[test]
fn a_follower_takes_the_lease_when_it_may_and_not_before() {
    let wait = |until| Intent::Wait { until: ms(until) };
    let old = |view: LeaseView, lasts| LeaseView { lasts, ..view };
    let s = |count| Some(Duration::from_secs(count));
    let rows = [
        // what was seen and when; asked at; answer
        (vec![], 0, Intent::Get),
        (vec![(0, None)], 0, Intent::Create),
        (vec![(0, Some(view(1, Hold::Released)))], 0, acquire(1, 6)),
        (vec![(0, Some(held(1, "other")))], 0, wait(2_000)),
        (vec![(0, Some(held(1, "other")))], 2_000, Intent::Get),
        (
            vec![(0, Some(held(1, "other"))), (9_000, Some(held(1, "other")))],
            LEASE,
            acquire(1, 6),
        ),
        (
            vec![(0, Some(held(1, "other"))), (9_000, Some(held(1, "other")))],
            LEASE - 1,
            wait(LEASE),
        ),
        (
            vec![(0, Some(held(1, "other"))), (9_000, Some(held(2, "other")))],
            LEASE,
            wait(11_000),
        ),
        // Emptied by hand: its holder may still lead.
        (vec![(0, Some(view(1, Hold::Nobody)))], 0, wait(2_000)),
        (
            vec![
                (0, Some(view(1, Hold::Nobody))),
                (9_000, Some(view(1, Hold::Nobody))),
            ],
            LEASE,
            acquire(1, 6),
        ),
        // Our own write whose answer was lost.
        (vec![(0, Some(held(1, "me")))], 0, acquire(1, 6)),
        // Another profile, and durations that are no durations.
        (
            vec![
                (0, Some(old(held(1, "other"), s(15)))),
                (14_000, Some(old(held(1, "other"), s(15)))),
            ],
            14_999,
            wait(15_000),
        ),
        (
            vec![
                (0, Some(old(held(1, "other"), s(1)))),
                (9_000, Some(old(held(1, "other"), s(1)))),
            ],
            LEASE - 1,
            wait(LEASE),
        ),
        (
            vec![
                (0, Some(old(held(1, "other"), None))),
                (9_000, Some(old(held(1, "other"), None))),
            ],
            LEASE,
            acquire(1, 6),
        ),
        (
            vec![
                (0, Some(old(held(1, "other"), s(1 << 40)))),
                (59_000, Some(old(held(1, "other"), s(1 << 40)))),
            ],
            60_000,
            acquire(1, 6),
        ),
        // An offer is for those who have read the RDS.
        (vec![(0, Some(offered(1, "other")))], 0, wait(2_000)),
    ];
    for (seen, at, expected) in rows {
        let mut election = follower(&seen);
        assert_eq!(election.intent(ms(at)), expected, "{seen:?} at {at} ms");
    }
}

#[test]
fn a_release_is_taken_within_one_event_of_the_watch() {
    let mut election = follower(&[(0, Some(held(1, "other")))]);
    election.on(Event::Watched(Some(view(2, Hold::Released))), ms(700), 0);
    assert_eq!(election.intent(ms(700)), acquire(2, 6));
}

#[test]
fn an_offer_is_taken_at_once_by_those_only_who_have_just_read_the_rds() {
    let rows = [
        (None, false),
        (Some(0), false),
        (Some(5_001), true),
        (Some(9_999), true),
    ];
    for (read, takes) in rows {
        let mut election = follower(&[(9_000, Some(offered(1, "other")))]);
        if let Some(sent) = read {
            election.on(rds(8, sent), ms(10_000), 0);
        }
        let intent = election.intent(ms(10_000));
        assert_eq!(intent == acquire(1, 9), takes, "{read:?}: {intent:?}");
    }
}

#[test]
fn the_epoch_is_above_lease_record_and_rds_even_if_the_lease_was_deleted() {
    let rows = [
        // transitions, on record, on the RDS (read as a follower), (read as the holder) -> led at
        (0, 0, 0, 0, 1),
        (7, 0, 0, 0, 8),
        (7, 9, 0, 0, 10),
        (7, 9, 20, 20, 21),
        (0, 0, 0, 40, 41),
        (0, 0, 40, 41, 42),
    ];
    for (transitions, recorded, before, after, expected) in rows {
        let free = LeaseView {
            transitions,
            epoch: Epoch::from_record(recorded),
            ..view(1, Hold::Released)
        };
        let mut election = follower(&[]);
        election.on(rds(before, 0), ms(0), 0);
        election.on(Event::Seen(Ok(Some(free))), ms(0), 0);
        let Intent::TryAcquire { epoch, .. } = election.intent(ms(0)) else {
            panic!("a released Lease is not taken");
        };
        written(&mut election, 0, 1, Ok(mine(2, epoch.digits())));
        assert!(matches!(election.standing(), Standing::Elected(_)));
        election.on(rds(after, 1), ms(2), 0);
        if let Intent::Renew { epoch, .. } = election.intent(ms(2)) {
            let waits = matches!(election.standing(), Standing::Elected(_));
            assert!(waits, "led at an epoch that is not on record");
            written(&mut election, 2, 3, Ok(mine(3, epoch.digits())));
        }
        let Standing::Leading(leadership) = election.standing() else {
            panic!("not leading: {election:?}");
        };
        assert_eq!(leadership.epoch().digits(), expected);
    }
}

#[test]
fn what_was_read_of_the_rds_before_the_term_does_not_make_a_leader() {
    let mut election = follower(&[(0, Some(view(1, Hold::Released)))]);
    assert_eq!(election.intent(ms(0)), acquire(1, 6));
    written(&mut election, 0, 10, Ok(mine(2, 6)));
    election.on(rds(0, 9), ms(20), 0);
    assert!(matches!(election.standing(), Standing::Elected(_)));
    election.on(rds(0, 10), ms(20), 0);
    assert!(matches!(election.standing(), Standing::Leading(_)));
}

#[test]
fn stopping_releases_what_may_be_held_and_never_takes_long() {
    let in_doubt = || {
        let mut election = follower(&[(0, Some(view(1, Hold::Released)))]);
        assert_eq!(election.intent(ms(0)), acquire(1, 6));
        written(&mut election, 0, 2_000, Err(lost_call()));
        election
    };
    let candidate = || {
        let mut election = follower(&[(0, Some(view(1, Hold::Released)))]);
        assert_eq!(election.intent(ms(0)), acquire(1, 6));
        election
    };
    let over = Intent::End(End::Stopped);
    let rows = [
        (follower(&[]), over.clone()),
        (follower(&[(0, Some(held(1, "other")))]), over.clone()),
        (follower(&[(0, Some(held(1, "me")))]), Intent::Release),
        (in_doubt(), Intent::Release),
        (candidate(), Intent::Release),
        (leader(), Intent::Release),
    ];
    for (mut election, expected) in rows {
        election.on(Event::Stop, ms(3_000), 0);
        assert!(!serves(&election, 3_000));
        assert_eq!(election.intent(ms(3_000)), expected, "{election:?}");
        election.on(Event::Released(Err(lost_call())), ms(4_000), 0);
        assert_eq!(election.intent(ms(3_000 + DEADLINE)), over, "{election:?}");
    }
    for answer in [Ok(()), Err(Failure::NotHeld(Box::new(held(3, "other"))))] {
        let mut election = leader();
        election.on(Event::Stop, ms(3_000), 0);
        election.on(Event::Released(answer), ms(3_010), 0);
        assert_eq!(election.intent(ms(3_010)), over);
    }
}

#[test]
fn a_refused_write_is_not_repeated_before_the_lease_was_read_again() {
    let mut election = follower(&[(0, Some(view(1, Hold::Released)))]);
    assert_eq!(election.intent(ms(0)), acquire(1, 6));
    written(&mut election, 0, 10, Err(Failure::Conflict));
    assert_eq!(election.intent(ms(10)), Intent::Wait { until: ms(510) });
    assert_eq!(election.intent(ms(510)), Intent::Get);
    election.on(Event::Seen(Ok(Some(held(2, "other")))), ms(520), 0);
    assert_eq!(election.intent(ms(520)), Intent::Wait { until: ms(2_520) });
}
