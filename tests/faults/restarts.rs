//! The RDS restarts: in the middle of an operation, and between them.

use std::sync::Arc;
use std::time::Duration;

use rds_csi::domain::error::{Error, Kind};
use rds_csi::domain::parameters::Parameters;
use rds_csi::ports::Backend as _;
use rds_csi::sim::gate::{Breakpoints, PointKind};
use rds_csi::sim::transport::{Fault, Rule};

use crate::bed::replica::is_transient;
use crate::bed::{Bed, Replica, until, within};
use crate::deposit::{Deposit, is_at, places};
use crate::subject::{NODE, OPERATIONS, Operation, Subject};

/// What every line has that asks the device what it can enforce: the first step of a rebuild.
const PROBE: &str = "csi-probe-";

/// Menu commands of each operation's first line, as far as they stop at gates.
fn commands_of(operation: Operation) -> usize {
    match operation {
        Operation::Publish => 3,
        Operation::Unpublish => 2,
        Operation::Create | Operation::Delete | Operation::Expand => 1,
    }
}

#[tokio::test]
async fn an_operation_that_a_restart_broke_off_ends_well_when_it_is_asked_for_again() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for operation in OPERATIONS {
        for place in places(commands_of(operation)) {
            if operation == Operation::Create && place.1 == PointKind::BetweenFindAndSet {
                continue; // An add has nothing to find.
            }
            let case = format!("{operation:?} restarted at {place:?}");
            let mut subject = Subject::prepare(&bed, &replica, operation).await;
            let before = replica.backend.incarnation();
            let gate = Arc::new(Breakpoints::default());
            let held = gate.hold(is_at(place, &[":local s \"csi-"]));
            bed.world().set_gate(Some(gate));
            let restart = async {
                within(held.arrived()).await;
                bed.reboot();
                held.release();
            };
            let (first, ()) = tokio::join!(subject.call(operation), restart);
            bed.world().set_gate(None);
            // The device answers nothing that it did not carry through.
            if let Err(error) = first {
                assert!(is_transient(&error), "{case}: {error:?}");
            }
            replica.reread(before).await;
            subject.run(operation).await.expect(&case);
            subject.check(operation, &case).await;
            subject.clear(&case).await;
        }
    }
}

/// What every call answers.
async fn every_call(replica: &Replica, subject: &Subject<'_>) -> Vec<(&'static str, Error)> {
    let id = Some(subject.id.clone());
    let room = Parameters::from_request([]).unwrap();
    let volumes = &replica.volumes;
    let answers = [
        ("create", subject.call(Operation::Create).await),
        ("publish", subject.call(Operation::Publish).await),
        ("unpublish", subject.call(Operation::Unpublish).await),
        ("delete", subject.call(Operation::Delete).await),
        ("expand", subject.call(Operation::Expand).await),
        ("status", volumes.status(id).await.map(drop)),
        ("list", volumes.list(None, 0).await.map(drop)),
        ("room", volumes.room(&room).await.map(drop)),
    ];
    let errors = answers.into_iter().map(|(call, answer)| {
        let error = answer.expect_err(call);
        (call, error)
    });
    errors.collect()
}

#[tokio::test]
async fn nothing_is_answered_between_a_restart_and_the_next_full_reading() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let subject = Subject::prepare(&bed, &replica, Operation::Publish).await;
    let told = replica.publish(&subject.id, NODE).await.unwrap();
    let before = replica.backend.incarnation();

    bed.sim.faults().add(Rule {
        times: None,
        ..Rule::next(Fault::Hold, PROBE)
    });
    bed.reboot();
    within(bed.sim.faults().held(1)).await;
    assert!(!replica.volumes.ready());
    assert_ne!(replica.backend.incarnation(), before);
    for (call, error) in every_call(&replica, &subject).await {
        assert_eq!(error.kind(), Kind::Unavailable, "{call}: {error:?}");
        assert!(
            error.context().contains("has not been read"),
            "{call}: {error}"
        );
    }

    bed.sim.faults().clear();
    bed.sim.faults().release();
    replica.ready().await;
    assert_eq!(
        replica.publish(&subject.id, NODE).await.unwrap(),
        told,
        "a grant outlives a restart"
    );
}

#[tokio::test]
async fn a_line_from_before_a_restart_does_nothing_after_it() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let place = (0, PointKind::BetweenFindAndSet);
    let call = replica.publish(&id, NODE);
    let (late, told) = Deposit::of(&bed, place, &["export=yes"], call).await;
    let told = told.unwrap();
    let before = replica.backend.incarnation();
    bed.reboot();
    replica.reread(before).await;
    late.release(&bed).await;
    assert_eq!(replica.publish(&id, NODE).await.unwrap(), told);
    bed.machine(NODE).stage(&told).unwrap();
    bed.assert_one_writer("late line");
}

#[tokio::test]
async fn a_restart_that_nobody_was_connected_for_is_noticed_by_the_next_session() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let before = replica.backend.incarnation();
    bed.sim.power_off().await;
    assert!(replica.volumes.ready(), "no news so far");
    bed.clock.advance(Duration::from_mins(5));
    bed.sim.power_on().unwrap();
    replica.reread(before).await;
    let id = replica.create("v").await.unwrap();
    replica.delete(&id).await.unwrap();
    until("every session is back", || replica.backend.pool().up == 2).await;
}
