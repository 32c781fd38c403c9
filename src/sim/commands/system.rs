//! `/system/resource` and `/system/identity`.

use crate::sim::commands::{Call, Reply};
use crate::sim::device::Device;
use crate::sim::lang::grammar::{Menu, Verb};
use crate::sim::texts::Failure;
use crate::sim::value::{Value, unit_form};

/// Column at which the colon stands in listings of single items.
const KEY_WIDTH: usize = 25;

pub(super) fn apply(
    device: &mut Device,
    menu: Menu,
    verb: Verb,
    call: &Call,
) -> Result<Reply, Failure> {
    let rows = match menu {
        Menu::Resource => resource(device),
        _ => vec![("name", Value::Text(device.state.identity.clone()))],
    };
    match verb {
        Verb::Get => get(&rows, call),
        Verb::Set => {
            let name = call.argument("name").ok_or(Failure::Missing("name"))?;
            device.state.identity = name.to_string();
            device.generation += 1;
            Ok(Reply::silent())
        }
        _ if call.flag("as-value") => Ok(Reply::value(Value::Map(rows))),
        _ if menu == Menu::Identity && device.personality.splits_identity => Ok(Reply::printed(
            format!("  name: \r\n{}\r\n\r\n", device.state.identity),
        )),
        _ if menu == Menu::Identity => Ok(Reply::printed(format!(
            "  name: {}\r\n\r\n",
            device.state.identity
        ))),
        _ => Ok(Reply::printed(listing(&rows))),
    }
}

fn get(rows: &[(&'static str, Value)], call: &Call) -> Result<Reply, Failure> {
    let name = call
        .positional
        .first()
        .or_else(|| call.argument("value-name"));
    let Some(name) = name.map(ToString::to_string) else {
        return Ok(Reply::value(Value::Map(rows.to_vec())));
    };
    let found = rows.iter().find(|(key, _)| *key == name);
    let (_, value) = found.ok_or_else(|| Failure::NoMatchingValue("value-name".to_owned()))?;
    Ok(Reply::value(value.clone()))
}

fn resource(device: &Device) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        ("uptime", Value::Time(device.uptime().as_secs())),
        (
            "version",
            Value::Text(format!("{} (stable)", device.personality.version)),
        ),
        ("build-time", text("2026-09-25 12:13:01")),
        ("free-memory", Value::Num(31_683_772_416)),
        ("total-memory", Value::Num(34_359_738_368)),
        ("cpu", text("ARM64")),
        ("cpu-count", Value::Num(16)),
        ("cpu-frequency", Value::Num(2_000)),
        ("cpu-load", Value::Num(7)),
        ("free-hdd-space", Value::Num(94_371_840)),
        ("total-hdd-space", Value::Num(134_217_728)),
        ("architecture-name", text("arm64")),
        ("board-name", text("RDS2216-2XG-4S+4XS-2XQ")),
        ("platform", text("MikroTik")),
    ]
}

fn listing(rows: &[(&'static str, Value)]) -> String {
    let line = |(key, value): &(&'static str, Value)| {
        let text = match value {
            Value::Time(seconds) => unit_form(*seconds),
            Value::Num(load) if *key == "cpu-load" => format!("{load}%"),
            Value::Num(clock) if *key == "cpu-frequency" => format!("{clock}MHz"),
            Value::Num(bytes) if key.ends_with("memory") || key.ends_with("space") => {
                crate::sim::listing::human(u64::try_from(*bytes).unwrap_or_default())
            }
            other => other.to_string(),
        };
        format!("{key:>KEY_WIDTH$}: {text}\r\n")
    };
    rows.iter()
        .map(line)
        .chain(std::iter::once("\r\n".to_owned()))
        .collect()
}
