//! What a leader does with the answers it gets.

use super::*;

#[test]
fn a_leader_ends_at_its_deadline_counted_from_before_the_request_was_sent() {
    // when renewals were sent, answered, and whether they succeeded -> until when it serves
    type Renewal = (u64, u64, bool);
    let rows: [(&[Renewal], u64); 6] = [
        (&[], DEADLINE),
        (&[(2_000, 2_010, true)], 8_000),
        (&[(2_000, 5_990, true)], 8_000),
        (&[(2_000, 4_000, false), (4_500, 4_600, true)], 10_500),
        (&[(2_000, 4_000, false), (4_500, 6_500, true)], DEADLINE),
        (&[(2_000, 6_000, true)], DEADLINE),
    ];
    for (renewals, until) in rows {
        let mut election = leader();
        let Standing::Leading(leadership) = election.standing() else {
            panic!("not leading");
        };
        for (version, (sent, answered, succeeds)) in (3..).zip(renewals) {
            let result = if *succeeds {
                Ok(mine(version, 6))
            } else {
                Err(lost_call())
            };
            written(&mut election, *sent, *answered, result);
        }
        assert!(leadership.check(ms(until - 1)).is_ok(), "{renewals:?}");
        assert!(leadership.check(ms(until)).is_err(), "{renewals:?}");
        election.on(Event::Tick, ms(until), 0);
        assert_eq!(
            election.intent(ms(until)),
            Intent::End(End::Lost(Loss::Expired)),
            "{renewals:?}"
        );
        assert!(leadership.ran_out(ms(until)), "{renewals:?}");
    }
}

#[test]
fn a_renewal_does_not_bring_back_what_somebody_has_seen_run_out() {
    let mut election = leader();
    let Standing::Leading(leadership) = election.standing() else {
        panic!("not leading");
    };
    assert!(leadership.ran_out(ms(DEADLINE)));
    // The election asked the clock a moment before.
    written(&mut election, 2_000, DEADLINE - 1, Ok(mine(3, 6)));
    assert_eq!(
        election.intent(ms(DEADLINE - 1)),
        Intent::End(End::Lost(Loss::Expired))
    );
    assert!(leadership.ran_out(ms(DEADLINE)));
}

#[test]
fn an_answer_after_the_right_it_gives_makes_no_leader() {
    let mut election = follower(&[(0, Some(view(1, Hold::Released)))]);
    assert_eq!(election.intent(ms(0)), acquire(1, 6));
    written(&mut election, 0, DEADLINE, Ok(mine(2, 6)));
    assert!(matches!(election.standing(), Standing::Following { .. }));
    // It is ours all the same: the next term may begin at once, at a new epoch.
    election.on(Event::Watched(Some(mine(2, 6))), ms(DEADLINE), 0);
    election.on(Event::Seen(Ok(Some(mine(2, 6)))), ms(DEADLINE), 0);
    assert_eq!(election.intent(ms(DEADLINE)), acquire(2, 7));
}

#[test]
fn what_a_renewal_finds_decides_whether_the_leader_goes_on() {
    let not_held = |view| Err(Failure::NotHeld(Box::new(view)));
    let lost = |loss| Intent::End(End::Lost(loss));
    let rows = [
        (Ok(mine(3, 6)), Intent::Wait { until: ms(4_000) }),
        (Err(Failure::Conflict), Intent::Wait { until: ms(2_600) }),
        (Err(lost_call()), Intent::Wait { until: ms(2_600) }),
        // Somebody else's Lease, told either way, is not success.
        (Ok(held(3, "other")), lost(Loss::Taken(holder("other")))),
        (
            not_held(held(3, "other")),
            lost(Loss::Taken(holder("other"))),
        ),
        (
            not_held(offered(3, "other")),
            lost(Loss::Taken(holder("other"))),
        ),
        // Emptied, or deleted and made anew by a follower: ours while our right lasts.
        (not_held(view(3, Hold::Nobody)), acquire(3, 6)),
    ];
    for (result, expected) in rows {
        let mut election = leader();
        let told = format!("{result:?}");
        written(&mut election, 2_000, 2_100, result);
        let intent = election.intent(ms(2_100));
        assert_eq!(intent, expected, "{told}");
        let ended = matches!(intent, Intent::End(_));
        assert_eq!(serves(&election, 2_100), !ended, "{told}");
    }
}

#[test]
fn a_leader_that_offers_is_fenced_before_the_mark_and_until_it_is_gone() {
    let mut election = leader();
    let Standing::Leading(leadership) = election.standing() else {
        panic!("not leading");
    };
    let holds = |at| leadership.check(ms(at)).is_ok();
    election.on(Event::RdsLost, ms(1_000), 0);
    assert!(!holds(1_000), "fenced before anything is sent");
    assert_eq!(election.intent(ms(1_000)), renew(6, true));
    written(&mut election, 1_000, 1_010, Ok(offered(3, "me")));
    assert!(!holds(1_010), "renewed, and still fenced");
    election.on(rds(6, 2_000), ms(2_010), 0);
    assert!(!holds(2_010), "the mark still stands");
    // An epoch in its own names is its own: the withdrawn term goes on above it all the same.
    assert_eq!(election.intent(ms(2_010)), renew(7, false));
    written(&mut election, 2_010, 2_020, Ok(mine(4, 7)));
    assert!(serves(&election, 2_020));
}

#[test]
fn a_late_epoch_on_the_rds_ends_the_term() {
    let mut election = leader();
    election.on(rds(6, 100), ms(110), 0);
    assert!(serves(&election, 110), "its own names");
    election.on(rds(7, 120), ms(130), 0);
    let expected = End::Lost(Loss::Superseded(Epoch::from_record(7)));
    assert_eq!(election.intent(ms(130)), Intent::End(expected));
}
