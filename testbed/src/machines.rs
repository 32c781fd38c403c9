//! What the machines of the simulated RDS do, and what the observer at the RDS saw of it.

use std::time::Duration;

use rds_csi::sim::handle::Sim;
use rds_csi::sim::initiator::Machine;
use tokio::time::{interval, timeout};

use crate::trouble::{Attempt, Trouble};

/// Between two looks at a machine, which cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether the RDS saw what must never be: two machines that write at once, or a write that was issued
/// before another machine came.
///
/// # Errors
/// It did.
pub fn judge(sim: &Sim) -> Result<(), Trouble> {
    let world = sim.world();
    let (second, replayed) = (world.second_writers(), world.replayed_writes());
    let dropped = world.findings_dropped();
    if second.is_empty() && replayed.is_empty() && dropped == 0 {
        return Ok(());
    }
    Err(Trouble::found(format!(
        "second writers: {second:#?}\nreplayed writes: {replayed:#?}\nnot kept: {dropped}"
    )))
}

/// Waits until a machine has written so often more, to whatever it has.
///
/// # Errors
/// It has not within `limit`.
pub async fn writes(machine: &Machine, more: u64, limit: Duration) -> Result<(), Trouble> {
    let enough = machine.view().done + more;
    let look = async {
        let mut ticks = interval(LOOK_EVERY);
        while machine.view().done < enough {
            ticks.tick().await;
        }
    };
    let written = timeout(limit, look).await;
    written.attempt(|| format!("see {more} writes: {:?}", machine.view()))
}
