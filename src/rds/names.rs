//! The names of an export that the device compares and changes, in each fencing mode.

use crate::rds::value::DeviceName;

/// The fencing names of one disk entry: both, or the one the device lets us change.
///
/// An entry with neither cannot be fenced by names, so no such value exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Subsystem and host NQN, the full fence.
    Pair {
        /// `nvme-tcp-server-nqn`.
        subsystem: DeviceName,
        /// `nvme-tcp-server-allow-host-name`.
        host: DeviceName,
    },
    /// Only the subsystem NQN: a device without an allow-list (mode `subsystem-nqn`).
    Subsystem(DeviceName),
    /// Only the host NQN: a device whose subsystem names cannot be changed (mode `host-nqn`).
    Host(DeviceName),
}

impl Names {
    /// The subsystem NQN, where it is part of the fence.
    pub fn subsystem(&self) -> Option<&DeviceName> {
        match self {
            Self::Pair { subsystem, .. } | Self::Subsystem(subsystem) => Some(subsystem),
            Self::Host(_) => None,
        }
    }

    /// The host NQN, where it is part of the fence.
    pub fn host(&self) -> Option<&DeviceName> {
        match self {
            Self::Pair { host, .. } | Self::Host(host) => Some(host),
            Self::Subsystem(_) => None,
        }
    }

    /// Whether both name the same properties, so that one can take the place of the other.
    pub(super) fn same_parts(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
