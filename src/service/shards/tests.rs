//! Shards at work, in paused time: a sleep is over as soon as nobody has anything left to do.

mod bounds;
mod ending;
mod order;
mod schedules;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Lane, Load, Shards};
use crate::domain::error::Error;
use crate::domain::id::VolumeId;
use crate::domain::shard::ShardCount;

/// A volume of shard 0.
fn volume(number: usize) -> VolumeId {
    format!("csi-{number:028x}").parse().unwrap()
}

/// A volume of shard 15.
fn elsewhere(number: usize) -> VolumeId {
    format!("csi-f{number:027x}").parse().unwrap()
}

/// Until everybody waits.
async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What a caller is told. Nobody is left without an answer: an hour passes in no time here.
async fn answer(caller: Caller) -> Result<(), Error> {
    let hour = Duration::from_hours(1);
    let told = tokio::time::timeout(hour, caller).await;
    told.expect("an answer within the hour").unwrap()
}

/// Shards, callers, and a record of what was begun.
#[derive(Clone)]
struct Bed {
    shards: Arc<Shards>,
    begun: Arc<Mutex<Vec<&'static str>>>,
    /// Each job takes one before it ends.
    passes: Arc<Semaphore>,
}

type Caller = JoinHandle<Result<(), Error>>;

impl Bed {
    fn new() -> Self {
        Self {
            shards: Arc::new(Shards::new(ShardCount::default())),
            begun: Arc::default(),
            passes: Arc::new(Semaphore::new(0)),
        }
    }

    /// A caller in a task of its own, whose job ends when it gets a pass.
    fn call(&self, id: &VolumeId, lane: Lane, name: &'static str) -> Caller {
        let (begun, passes) = (Arc::clone(&self.begun), Arc::clone(&self.passes));
        self.call_for(id, lane, name, async move {
            begun.lock().unwrap().push(name);
            passes.acquire().await.unwrap().forget();
            Ok(())
        })
    }

    /// A caller whose job never ends.
    fn hang(&self, id: &VolumeId) -> Caller {
        self.call_for(id, Lane::Publish, "hang", std::future::pending())
    }

    fn call_for(
        &self,
        id: &VolumeId,
        lane: Lane,
        name: &'static str,
        work: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Caller {
        let (shards, id) = (Arc::clone(&self.shards), id.clone());
        tokio::spawn(async move { shards.run(&id, lane, name, work).await })
    }

    /// Lets so many jobs end, and the next ones begin.
    async fn pass(&self, count: usize) {
        self.passes.add_permits(count);
        quiet().await;
    }

    fn begun(&self) -> Vec<&'static str> {
        self.begun.lock().unwrap().clone()
    }

    fn load(&self, shard: usize) -> Load {
        self.shards.load().swap_remove(shard)
    }
}
