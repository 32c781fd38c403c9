//! Commands of menus, applied to the device under its lock.

mod add;
mod assign;
pub(crate) mod copy;
mod disk;
mod file;
mod select;
mod subvolume;
mod system;
mod traffic;

use crate::sim::device::Device;
use crate::sim::lang::grammar::{Command, Menu, Verb};
use crate::sim::run::pure::Pure;
use crate::sim::texts::Failure;
use crate::sim::value::Value;

pub(crate) use crate::sim::commands::select::items;

/// A command with its arguments evaluated.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) command: &'static Command,
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(String, Value)>,
    pub(crate) flags: Vec<String>,
    pub(crate) filter: Option<Pure>,
}

/// What a command gives back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// What `[…]` sees.
    pub(crate) value: Value,
    /// What goes to stdout.
    pub(crate) printed: String,
}

// === impl Call ===

impl Call {
    fn argument(&self, name: &str) -> Option<&Value> {
        self.named
            .iter()
            .rev()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value)
    }

    fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }

    /// The items of `set`, `remove` and the like.
    fn numbers(&self) -> Result<&Value, Failure> {
        self.positional
            .first()
            .or_else(|| self.argument("numbers"))
            .ok_or(Failure::ExpectedItem)
    }
}

// === impl Reply ===

impl Reply {
    pub(crate) fn silent() -> Self {
        Self::value(Value::Nil)
    }

    pub(crate) fn value(value: Value) -> Self {
        Self {
            value,
            printed: String::new(),
        }
    }

    pub(crate) fn printed(printed: String) -> Self {
        Self {
            value: Value::Nil,
            printed,
        }
    }
}

/// Applies one command for `user`.
pub(crate) fn apply(device: &mut Device, user: &str, call: &Call) -> Result<Reply, Failure> {
    permit(device, user, call.command)?;
    match (call.command.menu, call.command.verb) {
        (_, Verb::Find) => Ok(Reply::value(Value::List(
            select::select(device, call)?
                .into_iter()
                .map(Value::Id)
                .collect(),
        ))),
        (Menu::Disk | Menu::File | Menu::Subvolume | Menu::Package, Verb::Print) => {
            select::print(device, call)
        }
        (Menu::Disk | Menu::File, Verb::Get) => select::get(device, call),
        (Menu::Disk, Verb::Add) => add::add(device, call),
        (Menu::Disk, Verb::Set) => disk::set(device, call),
        (Menu::Disk, Verb::Remove) => disk::remove(device, call),
        (Menu::Disk, Verb::Enable) => disk::disable(device, call, false),
        (Menu::Disk, Verb::Disable) => disk::disable(device, call, true),
        (Menu::Disk, Verb::MonitorTraffic) => traffic::monitor(device, call),
        (Menu::File, Verb::Add) => file::add(device, call),
        (Menu::File, Verb::Remove) => file::remove(device, call),
        (Menu::Subvolume, Verb::Add) => subvolume::add(device, call),
        (Menu::Subvolume, Verb::Remove) => subvolume::remove(device, call),
        (menu, verb) => system::apply(device, menu, verb, call),
    }
}

/// Refuses a command whose policy the user's group lacks.
pub(crate) fn permit(device: &Device, user: &str, command: &Command) -> Result<(), Failure> {
    let policies = device.policies(user);
    let reads_resource = command.menu == Menu::Resource && device.personality.resource_needs_test;
    let may = match command.verb {
        Verb::Print | Verb::Find | Verb::Get => policies.read && (policies.test || !reads_resource),
        Verb::MonitorTraffic => policies.test,
        Verb::Set | Verb::Add | Verb::Remove | Verb::Enable | Verb::Disable | Verb::Copy => {
            policies.write
        }
    };
    if may {
        Ok(())
    } else {
        Err(Failure::Permissions)
    }
}
