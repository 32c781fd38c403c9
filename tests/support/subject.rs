//! One operation on one volume: the state it starts from, the call, and what has to be true after.

use rds_csi::domain::error::{Error, Kind};
use rds_csi::domain::id::VolumeId;

use crate::bed::replica::insist;
use crate::bed::{Bed, Context, GIB, Replica};

pub(crate) const NODE: &str = "node-a";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    Create,
    Publish,
    Unpublish,
    Delete,
    Expand,
}

pub(crate) const OPERATIONS: [Operation; 5] = [
    Operation::Create,
    Operation::Publish,
    Operation::Unpublish,
    Operation::Delete,
    Operation::Expand,
];

/// A volume and what its node was told.
pub(crate) struct Subject<'a> {
    bed: &'a Bed,
    replica: &'a Replica,
    pub(crate) id: VolumeId,
    told: Option<Context>,
}

impl<'a> Subject<'a> {
    /// The state in which an operation finds its volume.
    pub(crate) async fn prepare(bed: &'a Bed, replica: &'a Replica, operation: Operation) -> Self {
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

    /// Makes the call once, whatever comes of it.
    pub(crate) async fn call(&self, operation: Operation) -> Result<(), Error> {
        let (replica, id) = (self.replica, &self.id);
        match operation {
            Operation::Create => replica.create("v").await.map(drop),
            Operation::Publish => replica.publish(id, NODE).await.map(drop),
            Operation::Unpublish => replica.unpublish(id, NODE).await,
            Operation::Delete => replica.delete(id).await,
            Operation::Expand => replica.expand(id, 2 * GIB).await.map(drop),
        }
    }

    /// Makes the call until it is answered for good.
    pub(crate) async fn run(&mut self, operation: Operation) -> Result<(), Error> {
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
    pub(crate) async fn check(&self, operation: Operation, case: &str) {
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

    /// Detaches and deletes: nothing is left.
    pub(crate) async fn clear(&self, case: &str) {
        self.bed.machine(NODE).disconnect(self.id.as_str());
        let (replica, id) = (self.replica, &self.id);
        // Lines have little time in tests of lost replies, and a busy machine may need more.
        let detached = insist(replica, || replica.unpublish_all(id)).await;
        detached.expect(case);
        insist(replica, || replica.delete(id)).await.expect(case);
        assert_eq!(self.bed.holdings(), Vec::<String>::new(), "{case}");
    }
}
