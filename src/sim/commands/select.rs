//! Which rows a command means, and showing them: `find`, `print`, `get`, item arguments.

use crate::sim::commands::{Call, Reply};
use crate::sim::device::Device;
use crate::sim::lang::grammar::Menu;
use crate::sim::listing::{Record, detail, disk, file, human};
use crate::sim::run::pure::{Pure, Scope};
use crate::sim::state::file::canonical;
use crate::sim::texts::Failure;
use crate::sim::value::{ItemId, Value};

/// Ids of the rows the call's condition holds for, in listing order.
pub(super) fn select(device: &mut Device, call: &Call) -> Result<Vec<ItemId>, Failure> {
    let menu = call.command.menu;
    let candidates = candidates(device, menu, call.filter.as_ref());
    device.visited += candidates.len() as u64;
    let Some(filter) = &call.filter else {
        return Ok(candidates);
    };
    let mut found = Vec::new();
    for id in candidates {
        if filter.holds(&|name| property(device, menu, id, name))? {
            found.push(id);
        }
    }
    Ok(found)
}

/// Rows the condition can hold for: by index where it names a slot or file, else all.
fn candidates(device: &Device, menu: Menu, filter: Option<&Pure>) -> Vec<ItemId> {
    let state = &device.state;
    let scope = |key| filter.map_or(Scope::All, |filter| filter.scope(key));
    match menu {
        Menu::Disk => match scope("slot") {
            Scope::Key(slot) => state.slot(&slot).into_iter().collect(),
            Scope::Prefix(prefix) => state.slots_from(&prefix),
            Scope::All => state.disks().map(|(id, _)| id).collect(),
        },
        Menu::File => match scope("name") {
            // Input may have a leading slash; names never do.
            Scope::Key(name) => state.file(&name).map(|file| file.id).into_iter().collect(),
            Scope::Prefix(prefix) => state.files_from(&prefix).map(|(_, file)| file.id).collect(),
            Scope::All => state.files().map(|(_, file)| file.id).collect(),
        },
        Menu::Subvolume => state
            .subvolumes
            .iter()
            .map(|subvolume| subvolume.id)
            .collect(),
        Menu::Package => file::packages(&device.personality)
            .iter()
            .map(|row| row.id)
            .collect(),
        Menu::Root | Menu::Btrfs | Menu::System | Menu::Resource | Menu::Identity => Vec::new(),
    }
}

fn property(device: &Device, menu: Menu, id: ItemId, name: &str) -> Value {
    let state = &device.state;
    match menu {
        Menu::Disk => state.disk(id).map_or(Value::Nil, |row| {
            disk::property(id, row, name, &device.personality)
        }),
        Menu::File => {
            let found = state
                .file_name(id)
                .and_then(|file| Some((file, state.file(file)?)));
            found.map_or(Value::Nil, |(file_name, row)| {
                file::property(file_name, row, name)
            })
        }
        _ => record(device, menu, id).map_or(Value::Nil, |record| record.property(name)),
    }
}

fn record(device: &Device, menu: Menu, id: ItemId) -> Option<Record> {
    let state = &device.state;
    match menu {
        Menu::Disk => Some(disk::record(id, state.disk(id)?, &device.personality)),
        Menu::File => {
            let name = state.file_name(id)?;
            Some(file::record(name, state.file(name)?))
        }
        Menu::Subvolume => state
            .subvolumes
            .iter()
            .find(|subvolume| subvolume.id == id)
            .map(file::subvolume),
        Menu::Package => file::packages(&device.personality)
            .into_iter()
            .find(|record| record.id == id),
        Menu::Root | Menu::Btrfs | Menu::System | Menu::Resource | Menu::Identity => None,
    }
}

/// `print` in all its forms.
pub(super) fn print(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    let mut ids = select(device, call)?;
    if let Some(from) = call.argument("from") {
        let only = items(device, call.command.menu, from)?;
        ids.retain(|id| only.contains(id));
    }
    if call.flag("count-only") {
        // It prints by itself and has a value too, so `:put [… count-only]` shows it twice.
        let count = ids.len();
        return Ok(Reply {
            value: Value::from(count as u64),
            printed: format!("{count}\r\n"),
        });
    }
    let menu = call.command.menu;
    let records: Vec<Record> = ids
        .iter()
        .filter_map(|id| record(device, menu, *id))
        .collect();
    let list = call.argument("proplist").map(ToString::to_string);
    let only: Option<Vec<&str>> = list.as_deref().map(|list| list.split([',', ';']).collect());
    if call.flag("as-value") {
        let rows = records
            .iter()
            .map(|record| record.value(only.as_deref()))
            .collect();
        return Ok(Reply::value(Value::List(rows)));
    }
    let layout = match menu {
        Menu::Disk => &detail::DISK,
        Menu::File if device.personality.file_legend => &detail::FILE_FLAGGED,
        Menu::File => &detail::FILE,
        _ => &detail::PLAIN,
    };
    if call.flag("detail") {
        let text = detail::render(&records, layout, &device.personality, only.as_deref());
        return Ok(Reply::printed(text));
    }
    Ok(Reply::printed(table(&records, layout)))
}

/// The short table. Nobody should parse it, so only two columns are shown.
fn table(records: &[Record], layout: &detail::Layout) -> String {
    let mut lines: Vec<String> = layout.legend.iter().map(ToString::to_string).collect();
    lines.push("Columns: NAME, SIZE".to_owned());
    for (index, record) in records.iter().enumerate() {
        let name = match record.property("slot") {
            Value::Nil => record.property("name"),
            slot => slot,
        };
        let size = match record.property("size") {
            Value::Num(bytes) => human(u64::try_from(bytes).unwrap_or_default()),
            _ => String::new(),
        };
        lines.push(format!("{index:>2}  {name}  {size}"));
    }
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

/// `get ITEM [PROPERTY]`.
pub(super) fn get(device: &mut Device, call: &Call) -> Result<Reply, Failure> {
    let menu = call.command.menu;
    let ids = items(device, menu, call.numbers()?)?;
    let id = match ids.as_slice() {
        [] => return Err(Failure::NoSuchItem),
        [id] => *id,
        _ => return Err(Failure::NotOneItem),
    };
    device.visited += 1;
    let record = record(device, menu, id).ok_or(Failure::NoSuchItem)?;
    let Some(name) = call
        .positional
        .get(1)
        .or_else(|| call.argument("value-name"))
    else {
        return Ok(Reply::value(record.value(None)));
    };
    let name = name.to_string();
    if !menu.has_property(&name, &device.personality) {
        return Err(Failure::NoMatchingValue("value-name".to_owned()));
    }
    Ok(Reply::value(record.property(&name)))
}

/// The items an argument names: a list from `[find …]`, an id, a slot or a file name. An empty
/// list is fine and means nothing; a name that does not exist is not.
pub(crate) fn items(device: &Device, menu: Menu, value: &Value) -> Result<Vec<ItemId>, Failure> {
    match value {
        Value::Id(id) => Ok(vec![*id]),
        Value::List(values) => {
            let lists: Result<Vec<_>, _> = values
                .iter()
                .map(|value| items(device, menu, value))
                .collect();
            Ok(lists?.concat())
        }
        Value::Text(text) if !text.is_empty() => text
            .split(',')
            .map(|name| named(device, menu, name))
            .collect(),
        // A number counts rows of a listing this session printed before; there was none.
        Value::Num(_) => Err(Failure::NoSuchItem),
        _ => Err(Failure::ExpectedItem),
    }
}

fn named(device: &Device, menu: Menu, name: &str) -> Result<ItemId, Failure> {
    let found = ItemId::parse(name).or_else(|| match menu {
        Menu::Disk => device.state.slot(name),
        Menu::File => device.state.file(&canonical(name)?).map(|file| file.id),
        _ => None,
    });
    found.ok_or(Failure::NoSuchItem)
}
