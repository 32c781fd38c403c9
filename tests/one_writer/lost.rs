//! Replies that never come, at every command of every operation: asking again ends in the right
//! state, with one volume, one writer, and nothing left behind.

use std::time::Duration;

use rds_csi::domain::error::Effect;
use rds_csi::sim::transport::{Fault, Matcher, Rule};

use crate::bed::{Bed, Knobs, Replica};
use crate::subject::{OPERATIONS, Operation, Subject};

async fn survives(bed: &Bed, replica: &Replica, operation: Operation, rule: Rule) {
    let case = format!("{operation:?} with {rule:?}");
    let mut subject = Subject::prepare(bed, replica, operation).await;
    bed.sim.faults().add(rule);
    subject.run(operation).await.expect(&case);
    bed.sim.faults().clear();
    subject.check(operation, &case).await;
    subject.clear(&case).await;
}

/// The fault hits so many lines in a row that are about volumes, or that contain `text`.
fn rule(fault: &Fault, text: &str, times: u32) -> Rule {
    Rule {
        fault: fault.clone(),
        on: Matcher::Contains(text.to_owned()),
        times: Some(times),
    }
}

#[tokio::test]
async fn any_lost_connection_is_made_good_by_asking_again() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let mid = |at| Fault::DropMid { at };
    let faults = [
        Fault::DropBefore,
        Fault::DropAfter,
        mid(None),
        mid(Some(0)),
        mid(Some(20)),
        mid(Some(300)),
    ];
    for operation in OPERATIONS {
        for fault in &faults {
            // One lost reply is made good within the call; several in a row are not.
            for times in [1, 2, 4] {
                survives(&bed, &replica, operation, rule(fault, "csi-", times)).await;
            }
        }
    }
    for fault in &faults {
        let second = rule(fault, "/file remove", 1);
        survives(&bed, &replica, Operation::Delete, second).await;
    }
}

#[tokio::test]
async fn a_reply_that_never_comes_is_made_good_by_asking_again() {
    let bed = Bed::new();
    let knobs = Knobs {
        run: Duration::from_millis(150),
        ..Knobs::default()
    };
    let replica = bed.controller_with(&knobs).await;
    for operation in OPERATIONS {
        for fault in [Fault::StallBefore, Fault::StallAfter] {
            survives(&bed, &replica, operation, rule(&fault, "csi-", 1)).await;
        }
    }
}

#[tokio::test]
async fn while_the_outcome_is_unknown_no_answer_claims_to_know_it() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for operation in OPERATIONS {
        for fault in [Fault::DropBefore, Fault::DropAfter] {
            let subject = Subject::prepare(&bed, &replica, operation).await;
            // From now on no line about a volume is answered.
            bed.sim.faults().add(Rule {
                fault: fault.clone(),
                on: Matcher::Contains("csi-".to_owned()),
                times: None,
            });
            let answer = subject.call(operation).await;
            let error = answer.expect_err("nothing was answered");
            assert_eq!(error.effect(), Effect::Unknown, "{operation:?}: {error:?}");
            bed.sim.faults().clear();
            subject.clear(&format!("{operation:?} {fault:?}")).await;
        }
    }
}
