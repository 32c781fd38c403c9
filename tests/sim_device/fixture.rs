//! What every test of the simulated device begins with.

use std::sync::Arc;

use rds_csi::sim::backing::Stamp;
use rds_csi::sim::personality::Personality;
use rds_csi::sim::target::{ConnectRefusal, ConnectRequest, SessionId};
use rds_csi::sim::world::{Config, World, Write};

/// One GiB, as every test volume is.
pub(crate) const GIB: u64 = 1 << 30;

/// A current device.
pub(crate) fn device() -> Arc<World> {
    World::new(Config::default())
}

/// A device of this kind.
pub(crate) fn device_of(personality: Personality) -> Arc<World> {
    World::new(Config::of(personality))
}

/// Runs a line and returns its stdout.
pub(crate) async fn out(world: &Arc<World>, line: &str) -> String {
    let output = world.exec("csi", line).await;
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a line that must say nothing.
pub(crate) async fn quiet(world: &Arc<World>, line: &str) {
    assert_eq!(out(world, line).await, "", "{line}");
}

/// The file of a slot.
pub(crate) fn file(slot: &str) -> String {
    format!("/storage-pool/metal-csi/{slot}.img")
}

/// Adds a volume that is not exported, under the names `sub-<slot>` and `host-free`.
pub(crate) async fn add(world: &Arc<World>, slot: &str) {
    let path = file(slot);
    let line = format!(
        "/disk/add type=file slot=\"{slot}\" file-path=\"{path}\" file-size={GIB} \
         mount-filesystem=no nvme-tcp-server-nqn=\"sub-{slot}\" \
         nvme-tcp-server-allow-host-name=\"host-free\""
    );
    quiet(world, &line).await;
}

/// Sets properties of a slot.
pub(crate) async fn set(world: &Arc<World>, slot: &str, properties: &str) {
    quiet(
        world,
        &format!("/disk/set [find where slot={slot}] {properties}"),
    )
    .await;
}

/// Connects a machine.
pub(crate) fn connect(
    world: &World,
    machine: &str,
    subsystem: &str,
    host: &str,
) -> Result<SessionId, ConnectRefusal> {
    world.connect(&ConnectRequest {
        machine: machine.to_owned(),
        subsystem_nqn: subsystem.to_owned(),
        host_nqn: host.to_owned(),
        host_id: format!("id-of-{host}"),
    })
}

/// A write issued now.
pub(crate) fn write_now(world: &World, text: &str) -> Write {
    let stamp = Stamp::new(text).expect("test stamps are short");
    Write {
        offset: 0,
        stamp,
        issued_seq: world.now_seq(),
    }
}

/// The text last written to the start of a volume.
pub(crate) fn content(world: &World, slot: &str) -> Option<String> {
    let stamp = world.read_backing(slot, 0)?;
    Some(String::from_utf8_lossy(stamp.as_bytes()).into_owned())
}
