//! When the successor of a crashed process takes the Lease without waiting, and when not.

use super::*;

const UID: &str = "a6f1b2c3-6d2c-4c58-9d0a-2f8f0d9b7a11";
const BOOT: &str = "0f3c7c5e-6d2c-4c58-9d0a-2f8f0d9b7a11";

fn process(pod: &str, uid: &str, nonce: u64) -> HolderId {
    HolderId::of_process(pod, uid, nonce).unwrap()
}

fn dead() -> HolderId {
    process("pod", UID, 1)
}

fn s(seconds: u64) -> BootTime {
    ms(seconds * 1_000)
}

/// Led from 1000 s to 1100 s, which is good until 1106 s.
fn tenure() -> Tenure {
    Tenure {
        holder: dead(),
        began: s(1_000),
        renewed: s(1_100),
        until: s(1_106),
    }
}

fn record() -> PodRecord {
    PodRecord {
        boot: BootId::new(BOOT).unwrap(),
        tenure: Some(tenure()),
        short_cut: None,
    }
}

fn find(
    me: &HolderId,
    record: Option<&PodRecord>,
    now: BootTime,
) -> Result<Predecessor, NoShortCut> {
    let boot = BootId::new(BOOT).unwrap();
    Predecessor::find(me, record, &boot, &ShortCutRules::default(), now)
}

/// A successor that may take the short cut, and has seen this.
fn successor(seen: LeaseView) -> Election {
    let me = process("pod", UID, 2);
    let predecessor = find(&me, Some(&record()), s(1_102)).unwrap();
    let mut election = Election::new(me, Timing::default()).with_predecessor(Some(predecessor));
    election.on(Event::Seen(Ok(Some(seen))), s(1_102), 0);
    election
}

fn succeed(version: u64) -> Intent {
    Intent::Succeed {
        expecting: Version::new(version.to_string()),
        epoch: Epoch::from_record(6),
    }
}

#[test]
fn a_record_earns_a_short_cut_under_every_condition_and_no_other() {
    type Hand = fn(&mut PodRecord);
    fn with(hand: impl Fn(&mut Tenure)) -> impl Fn(&mut PodRecord) {
        move |record| record.tenure.iter_mut().for_each(&hand)
    }
    let short = |led| NoShortCut::LedTooShort {
        led: Duration::from_secs(led),
        least: Duration::from_mins(1),
    };
    let soon = |ago| NoShortCut::TooSoon {
        ago: Duration::from_secs(ago),
        apart: Duration::from_mins(10),
    };
    let other = |holder: &str| NoShortCut::OtherPod(HolderId::from_record(holder).unwrap());
    let rows: [(Hand, Option<NoShortCut>); 16] = [
        (|_| {}, None),
        (
            |record| record.boot = BootId::new("x").unwrap(),
            Some(NoShortCut::OtherBoot),
        ),
        (|record| record.tenure = None, Some(NoShortCut::DidNotLead)),
        // A crash loop: led for 59 s, and for 60 s.
        (
            |record| with(|it| it.began = s(1_041))(record),
            Some(short(59)),
        ),
        (|record| with(|it| it.began = s(1_040))(record), None),
        (
            |record| with(|it| it.began = s(1_100))(record),
            Some(short(0)),
        ),
        // The second within 10 min, and after.
        (|record| record.short_cut = Some(s(503)), Some(soon(599))),
        (|record| record.short_cut = Some(s(502)), None),
        (|record| record.short_cut = Some(s(1_102)), Some(soon(0))),
        // Not in our past.
        (
            |record| record.short_cut = Some(s(1_103)),
            Some(NoShortCut::Nonsense),
        ),
        (
            |record| with(|it| it.renewed = s(1_103))(record),
            Some(NoShortCut::Nonsense),
        ),
        (
            |record| with(|it| it.began = s(1_101))(record),
            Some(NoShortCut::Nonsense),
        ),
        (
            |record| with(|it| it.until = s(1_100))(record),
            Some(NoShortCut::Nonsense),
        ),
        (
            |record| with(|it| it.until = s(1_102))(record),
            Some(NoShortCut::RanOut),
        ),
        // Others, and those that look like it.
        (
            |record| with(|it| it.holder = process("pod", BOOT, 1))(record),
            Some(other(&format!("pod_{BOOT}_0000000000000001"))),
        ),
        (
            |record| with(|it| it.holder = HolderId::from_record("controller-0").unwrap())(record),
            Some(other("controller-0")),
        ),
    ];
    for (row, (hand, expected)) in rows.into_iter().enumerate() {
        let mut record = record();
        hand(&mut record);
        let found = find(&process("pod", UID, 2), Some(&record), s(1_102));
        assert_eq!(found.err(), expected, "row {row}: {record:?}");
    }
    let none = find(&process("pod", UID, 2), None, s(1_102));
    assert_eq!(none, Err(NoShortCut::NoRecord));
}

#[test]
fn a_pod_uid_that_was_never_filled_in_earns_no_short_cut() {
    for uid in ["$(POD_UID)", "uid", "00000000-0000-0000-0000-000000000000"] {
        let mut record = record();
        let holder = process("pod", uid, 1);
        record.tenure = Some(Tenure {
            holder: holder.clone(),
            ..tenure()
        });
        let found = find(&process("pod", uid, 2), Some(&record), s(1_102));
        assert_eq!(found, Err(NoShortCut::OtherPod(holder)));
    }
}

#[test]
fn only_the_lease_of_the_dead_process_is_taken_at_once_and_only_while_its_right_lasts() {
    let wait = Intent::Wait { until: s(1_104) };
    let rows = [
        (view(1, Hold::Held(dead())), s(1_102), succeed(1)),
        (view(1, Hold::Held(dead())), ms(1_103_999), succeed(1)),
        // What kept it from its RDS may keep us from it.
        (view(1, Hold::Offered(dead())), s(1_102), wait.clone()),
        // Another process of this pod, which did not hold the lock and so may live.
        (
            view(1, Hold::Held(process("pod", UID, 3))),
            s(1_102),
            wait.clone(),
        ),
        (
            view(1, Hold::Held(process("other", BOOT, 1))),
            s(1_102),
            wait.clone(),
        ),
        (held(1, "controller-0"), s(1_102), wait.clone()),
        // Emptied by hand: any other may lead.
        (view(1, Hold::Nobody), s(1_102), wait),
        (view(1, Hold::Released), s(1_102), acquire(1, 6)),
    ];
    for (seen, now, expected) in rows {
        let mut election = successor(seen.clone());
        assert_eq!(election.intent(now), expected, "{seen:?}");
    }
    // Seen again when its right has ended: another may lead by now.
    for (now, expected) in [
        (ms(1_105_999), succeed(1)),
        (
            s(1_106),
            Intent::Wait {
                until: ms(1_107_999),
            },
        ),
    ] {
        let mut election = successor(view(1, Hold::Nobody));
        let seen = Event::Seen(Ok(Some(view(1, Hold::Held(dead())))));
        election.on(seen, ms(1_105_999), 0);
        assert_eq!(election.intent(now), expected);
    }
}

#[test]
fn a_successor_leads_a_new_term_after_the_usual_reading() {
    let mut election = successor(view(1, Hold::Held(dead())));
    assert_eq!(election.intent(s(1_102)), succeed(1));
    let mine = LeaseView {
        epoch: Epoch::from_record(6),
        ..view(2, Hold::Held(process("pod", UID, 2)))
    };
    written(&mut election, 1_102_000, 1_102_010, Ok(mine));
    assert!(matches!(election.standing(), Standing::Elected(_)));
    assert_eq!(election.tenure(), None, "elected is not yet leading");
    election.on(rds(5, 1_102_010), ms(1_102_020), 0);
    let Standing::Leading(leadership) = election.standing() else {
        panic!("not leading");
    };
    assert_eq!(leadership.epoch().digits(), 6);
}

#[test]
fn a_short_cut_is_tried_once_in_the_life_of_a_process() {
    for failure in [
        Failure::Conflict,
        Failure::Withheld(Error::bug("full")),
        lost_call(),
    ] {
        let told = failure.to_string();
        let mut election = successor(view(1, Hold::Held(dead())));
        assert_eq!(election.intent(s(1_102)), succeed(1));
        written(&mut election, 1_102_000, 1_102_010, Err(failure));
        let seen = Event::Seen(Ok(Some(view(2, Hold::Held(dead())))));
        election.on(seen, s(1_103), 0);
        let intent = election.intent(s(1_103));
        assert_eq!(intent, Intent::Wait { until: s(1_105) }, "{told}");
    }
}

#[test]
fn a_tenure_is_what_the_leader_knows_and_ends_before_others_are_let_in() {
    let leading = |renewed, until| {
        Some(Tenure {
            holder: holder("me"),
            began: ms(2),
            renewed: ms(renewed),
            until: ms(until),
        })
    };
    let mut election = leader();
    assert_eq!(election.tenure(), leading(2, DEADLINE));
    written(&mut election, 2_000, 2_100, Ok(mine(3, 6)));
    assert_eq!(election.tenure(), leading(2_000, 8_000));
    written(&mut election, 4_000, 4_100, Err(lost_call()));
    assert_eq!(
        election.tenure(),
        leading(2_000, 8_000),
        "what failed is no renewal"
    );

    election.on(Event::RdsLost, ms(5_000), 0);
    assert_eq!(election.tenure(), None, "before the mark is sent");
    assert_eq!(election.intent(ms(5_000)), renew(6, true));
    written(&mut election, 5_000, 5_010, Ok(offered(4, "me")));
    election.on(rds(6, 5_020), ms(5_030), 0);
    assert_eq!(election.tenure(), None);
    assert_eq!(election.intent(ms(5_030)), renew(7, false));
    written(&mut election, 5_030, 5_040, Ok(mine(5, 7)));
    let began = election.tenure().map(|tenure| tenure.began);
    assert_eq!(began, Some(ms(5_040)), "counted anew");

    election.on(Event::Stop, ms(6_000), 0);
    assert_eq!(election.tenure(), None, "before the release is sent");
    let mut election = leader();
    election.on(Event::Tick, ms(DEADLINE), 0);
    assert_eq!(election.tenure(), None);
}
