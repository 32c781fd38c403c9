//! `/disk/copy`: bytes from one disk or file to another.

use crate::sim::commands::add::host;
use crate::sim::commands::{Call, Reply, permit};
use crate::sim::device::Device;
use crate::sim::state::file::canonical;
use crate::sim::texts::Failure;
use crate::sim::world::World;

/// Copies. Real files are copied away from the runtime's workers and without the device's lock, as
/// a long copy on the device does not stop it either.
pub(crate) async fn copy(world: &World, user: &str, call: &Call) -> Result<Reply, Failure> {
    let (from, to, size, backing) = {
        let device = world.device();
        permit(&device, user, call.command)?;
        let from = operand(&device, call, "src")?;
        let to = operand(&device, call, "dst")?;
        let bytes = |name: &str| device.state.file(name).map(|file| file.size);
        let size = bytes(&from).ok_or(Failure::NoSuchItem)?;
        if bytes(&to).ok_or(Failure::NoSuchItem)? < size {
            return Err(Failure::Given(
                "failure: destination is too small".to_owned(),
            ));
        }
        (from, to, size, device.backing.clone())
    };
    let (source, target) = (from.clone(), to.clone());
    let copied = tokio::task::spawn_blocking(move || backing.copy(&source, &target)).await;
    copied
        .map_err(std::io::Error::other)
        .and_then(|done| done)
        .map_err(host)?;
    let mut device = world.device();
    let now = device.unix_now();
    device.state.copy_blocks(&from, &to, now);
    device.generation += 1;
    let progress: Vec<String> = [0, size / 2, size]
        .iter()
        .zip([0, 50, 100])
        .map(|(done, percent)| format!("status: {done} / {size} ({percent}%)\r\n"))
        .collect();
    Ok(Reply::printed(format!("{}\r\n", progress.concat())))
}

/// The backing file an operand names: by slot, id or path.
fn operand(device: &Device, call: &Call, name: &'static str) -> Result<String, Failure> {
    let value = call.argument(name).ok_or(Failure::Missing(name))?;
    let text = value.to_string();
    if let Some(path) = canonical(&text).filter(|path| device.state.file(path).is_some()) {
        return Ok(path);
    }
    let ids = super::items(device, call.command.menu, value)?;
    let disk = ids.first().and_then(|id| device.state.disk(*id));
    disk.map(|disk| disk.backing().to_owned())
        .ok_or(Failure::NoSuchItem)
}
