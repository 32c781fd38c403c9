//! `/disk/monitor-traffic`.

use crate::sim::commands::{Call, Reply, items};
use crate::sim::device::Device;
use crate::sim::lang::grammar::Menu;
use crate::sim::listing::grouped;
use crate::sim::texts::Failure;

/// Column at which the colon stands.
const KEY_WIDTH: usize = 22;

/// Column at which values end.
const VALUE_WIDTH: usize = 15;

/// One report per item, laid out as recorded. Counters stand still: the simulator does not measure
/// traffic, and clients only need the layout.
pub(super) fn monitor(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    let mut text = String::new();
    for id in items(device, Menu::Disk, call.numbers()?)? {
        let disk = device.state.disk(id).ok_or(Failure::NoSuchItem)?;
        text.push_str(&report(&disk.slot));
    }
    Ok(Reply::printed(text))
}

fn report(slot: &str) -> String {
    let rows = [
        ("slot", slot.to_owned()),
        ("read-ops", grouped(243_401)),
        ("read-ops-per-second", grouped(1_204)),
        ("read-bytes", grouped(33_131_503_616)),
        ("read-rate", "0bps".to_owned()),
        ("read-merges", grouped(0)),
        ("read-time", "48s149ms".to_owned()),
        ("write-ops", grouped(17_667_231)),
        ("write-ops-per-second", grouped(76)),
        ("write-bytes", grouped(515_659_673_600)),
        ("write-rate", "12.8Mbps".to_owned()),
        ("write-merges", grouped(0)),
        ("write-time", "1h2m3s4ms".to_owned()),
        ("in-flight-ops", grouped(0)),
        ("active-time", "0ms".to_owned()),
        ("wait-time", "0ms".to_owned()),
        ("discard-ops", grouped(0)),
        ("discard-bytes", grouped(0)),
        ("discard-merges", grouped(0)),
        ("discard-time", "0ms".to_owned()),
        ("flush-ops", grouped(0)),
        ("flush-time", "0ms".to_owned()),
    ];
    let line =
        |(key, value): &(&str, String)| format!("{key:>KEY_WIDTH$}: {value:>VALUE_WIDTH$}\r\n");
    rows.iter()
        .map(line)
        .chain(std::iter::once("\r\n".to_owned()))
        .collect()
}
