//! Replies that never come, at every command of every operation: asking again ends in the right
//! state, with one volume, one writer, and nothing left behind.

use std::time::Duration;

use rds_csi::domain::error::{Effect, Error, Kind};
use rds_csi::domain::id::VolumeId;
use rds_csi::sim::transport::{Fault, Matcher, Rule};

use crate::bed::{Bed, Context, GIB, Knobs, Replica, insist};

const NODE: &str = "node-a";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Create,
    Publish,
    Unpublish,
    Delete,
    Expand,
}

const OPERATIONS: [Operation; 5] = [
    Operation::Create,
    Operation::Publish,
    Operation::Unpublish,
    Operation::Delete,
    Operation::Expand,
];

/// A volume and what its node was told.
struct Subject<'a> {
    bed: &'a Bed,
    replica: &'a Replica,
    id: VolumeId,
    told: Option<Context>,
}

impl<'a> Subject<'a> {
    /// The state in which an operation finds its volume.
    async fn prepare(bed: &'a Bed, replica: &'a Replica, operation: Operation) -> Self {
        let id = replica.create("v").await.unwrap();
        let mut told = None;
        match operation {
            Operation::Create => replica.delete(&id).await.unwrap(),
            Operation::Unpublish => {
                let names = replica.publish(&id, NODE).await.unwrap();
                bed.machine(NODE).stage(&names).unwrap();
                told = Some(names);
            }
            Operation::Publish | Operation::Delete | Operation::Expand => {}
        }
        Self {
            bed,
            replica,
            id,
            told,
        }
    }

    async fn run(&mut self, operation: Operation) -> Result<(), Error> {
        let (replica, id) = (self.replica, &self.id);
        match operation {
            Operation::Create => {
                let made = insist(replica, || replica.create("v")).await?;
                assert_eq!(&made, id);
            }
            Operation::Publish => {
                self.told = Some(insist(replica, || replica.publish(id, NODE)).await?);
            }
            Operation::Unpublish => insist(replica, || replica.unpublish(id, NODE)).await?,
            Operation::Delete => insist(replica, || replica.delete(id)).await?,
            Operation::Expand => {
                let size = insist(replica, || replica.expand(id, 2 * GIB)).await?;
                assert_eq!(size, 2 * GIB);
            }
        }
        Ok(())
    }

    /// What was answered is what the RDS holds.
    async fn check(&self, operation: Operation, case: &str) {
        let Self { bed, replica, .. } = self;
        let disk = bed.world().disk(self.id.as_str());
        let holdings = bed.holdings();
        if operation == Operation::Delete {
            assert!(holdings.is_empty(), "{case}: {holdings:?}");
            return;
        }
        let disk = disk.unwrap_or_else(|| panic!("{case}: the volume is gone"));
        let held = holdings.len();
        assert_eq!(held, 2, "{case}: one entry and one file, not {holdings:?}");
        let is_published = operation == Operation::Publish;
        assert_eq!(disk.exported, is_published, "{case}: {disk:?}");
        let machine = bed.machine(NODE);
        machine.reconnect_now();
        if is_published {
            machine.stage(self.told.as_ref().unwrap()).expect(case);
            let other = replica.publish(&self.id, "node-b").await.unwrap_err();
            assert_eq!(other.kind(), Kind::AttachedElsewhere, "{case}: {other}");
        } else {
            assert_eq!(bed.world().sessions(), [], "{case}");
        }
        if operation == Operation::Expand {
            assert_eq!(disk.size, 2 * GIB, "{case}");
        }
        bed.assert_one_writer(case);
    }

    async fn clear(&self, case: &str) {
        self.bed.machine(NODE).disconnect(self.id.as_str());
        self.replica.unpublish_all(&self.id).await.expect(case);
        self.replica.delete(&self.id).await.expect(case);
        assert_eq!(self.bed.holdings(), Vec::<String>::new(), "{case}");
    }
}

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
            let id = &subject.id;
            let answer = match operation {
                Operation::Create => replica.create("v").await.map(drop),
                Operation::Publish => replica.publish(id, NODE).await.map(drop),
                Operation::Unpublish => replica.unpublish(id, NODE).await,
                Operation::Delete => replica.delete(id).await,
                Operation::Expand => replica.expand(id, 2 * GIB).await.map(drop),
            };
            let error = answer.expect_err("nothing was answered");
            assert_eq!(error.effect(), Effect::Unknown, "{operation:?}: {error:?}");
            bed.sim.faults().clear();
            subject.clear(&format!("{operation:?} {fault:?}")).await;
        }
    }
}
