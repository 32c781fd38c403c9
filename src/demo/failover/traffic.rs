//! Volumes that never rest: some move in order, one is torn away from machines that still write.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::visit::{Mover, Violated, Visit};

/// Where volumes go that move in order.
pub(super) const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];
/// Where the one goes that is torn away: machines of its own, since a machine that is cut off is cut
/// off from all its volumes.
pub(super) const VICTIMS: [&str; 2] = ["node-x", "node-y"];
/// Writes of the shortest stay.
const WRITES: usize = 6;
/// Writes more for each next volume, so that they do not all move at the same time.
const WRITES_MORE: usize = 2;
/// Between two writes: a stay of about a second, so that a new leader has something to do at once.
const BETWEEN_WRITES: Duration = Duration::from_millis(100);
/// The account of somebody who logs in by hand.
const OPERATOR: &str = "admin";

/// Goes from node to node until `stop`; then the volume is detached. The `number` of the volume says
/// where it begins.
pub(super) async fn wander(mover: Mover, number: usize, stop: CancellationToken) {
    let writes = WRITES + number * WRITES_MORE;
    for node in NODES.into_iter().cycle().skip(number) {
        if stop.is_cancelled() || stay(&mover, node, writes).await.is_err() {
            return;
        }
    }
}

async fn stay(mover: &Mover, node: &str, writes: usize) -> Result<(), Violated> {
    let mut visit = mover.attach(node).await?;
    visit.stage().await?;
    write_for_a_while(&visit, writes).await?;
    visit.leave().await
}

async fn write_for_a_while(visit: &Visit, writes: usize) -> Result<(), Violated> {
    for _ in 0..writes {
        visit.write().await?;
        sleep(BETWEEN_WRITES).await;
    }
    Ok(())
}

/// The attack A -> B -> A, over and over: A is cut off with a write in its queue, B gets the volume
/// and writes, A gets it again and its network back. With `sabotage` somebody gives the volume its
/// old names by hand, which is what fresh names are against.
pub(super) async fn torn_away(mover: Mover, sabotage: bool, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if attack(&mover, sabotage).await.is_err() {
            return;
        }
    }
}

async fn attack(mover: &Mover, sabotage: bool) -> Result<(), Violated> {
    let [a, b] = VICTIMS;
    let mut first = mover.attach(a).await?;
    first.stage().await?;
    write_for_a_while(&first, WRITES).await?;

    // A forced detach: the machine is not asked, and goes on as if nothing had happened.
    first.machine.partition(true);
    let written = first.machine.write(&mover.volume.handle);
    tracing::debug!(?written, "a write for the queue");
    first.detach().await?;
    mover.tally.left_queued(first.queued());

    let mut second = mover.attach(b).await?;
    second.stage().await?;
    write_for_a_while(&second, WRITES).await?;
    second.leave().await?;

    if sabotage {
        give_back(&first).await;
        heal(&first);
        return Ok(());
    }
    let before = mover.on_disk();
    let mut again = mover.attach(a).await?;
    heal(&first);
    let after = mover.on_disk();
    if before != after {
        let what = format!("on disk was {before:?}, and {after:?} after {a} was back");
        return Err(mover.violated(&what));
    }
    again.stage().await?;
    write_for_a_while(&again, WRITES).await?;
    mover.tally.tell(format!(
        "{a} was cut off writing, {b} had the volume, {a} is back: its old write did not land"
    ));
    again.leave().await
}

/// The machine has its network back, and its kernel asks for the names it has.
fn heal(visit: &Visit) {
    visit.machine.partition(false);
    visit.machine.reconnect_now();
}

/// What a restored backup or a hand edit could do, and the driver never does.
async fn give_back(visit: &Visit) {
    let name = |key: &str| visit.told.get(key).map(String::as_str).unwrap_or_default();
    let line = format!(
        "/disk set [find where slot=\"{}\"] nvme-tcp-server-nqn=\"{}\" \
         nvme-tcp-server-allow-host-name=\"{}\" nvme-tcp-export=yes",
        visit.mover.volume.handle,
        name("nvme_nqn"),
        name("nvme_hostnqn")
    );
    let done = visit.mover.sim.world().exec(OPERATOR, &line).await;
    tracing::debug!(?done, "sabotage");
}
