//! Simulated initiators: machines that reach volumes as Linux's NVMe/TCP driver does.
//!
//! What they imitate was seen on kernels 6.1 and 6.12 with native multipath: controllers are
//! grouped by subsystem name into one namespace head; writes wait in the head while it has no live
//! path and go out over *any* path that comes up later, which is how a write of an old attachment
//! can land after another machine has written.

mod background;
mod machine;
mod names;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::background::Writer;
pub use self::machine::Machine;
pub use self::names::{BadContext, Names, PublishContext, slot_of};
pub use self::view::{ControllerView, HeadView, MachineView};
use crate::sim::target::ConnectRefusal;

/// Seconds between reconnects of Linux when nobody sets `--reconnect-delay`.
const DEFAULT_RECONNECT_DELAY: Duration = Duration::from_secs(10);

/// The kernels whose differences matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kernel {
    /// A target that says no is asked again until `ctrl_loss_tmo`.
    #[serde(rename = "6.1")]
    V6_1,
    /// A target that says no is believed: the controller is removed at once.
    #[default]
    #[serde(rename = "6.12")]
    V6_12,
}

/// A machine to build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfig {
    /// Its name, as the node id.
    pub name: String,
    /// Its kernel.
    #[serde(default)]
    pub kernel: Kernel,
    /// Time between attempts to reconnect.
    #[serde(default = "default_reconnect_delay")]
    pub reconnect_delay: Duration,
    /// How long a lost controller is kept; `None` is the kernel's -1, for ever.
    #[serde(default)]
    pub ctrl_loss_tmo: Option<Duration>,
}

fn default_reconnect_delay() -> Duration {
    DEFAULT_RECONNECT_DELAY
}

impl MachineConfig {
    /// A machine that waits for lost targets for ever.
    pub fn new(name: &str, kernel: Kernel) -> Self {
        Self {
            name: name.to_owned(),
            kernel,
            reconnect_delay: DEFAULT_RECONNECT_DELAY,
            ctrl_loss_tmo: None,
        }
    }

    /// The same machine, giving up lost controllers after this time.
    #[must_use]
    pub fn with_ctrl_loss_tmo(mut self, limit: Duration) -> Self {
        self.ctrl_loss_tmo = Some(limit);
        self
    }

    /// Failed attempts after which a controller is removed: Linux divides the two times and rounds
    /// up.
    fn max_reconnects(&self) -> Option<u128> {
        let delay = self.reconnect_delay.as_millis().max(1);
        self.ctrl_loss_tmo
            .map(|limit| limit.as_millis().div_ceil(delay))
    }
}

/// Why a machine has no (new) path to a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The publish context lacks a name.
    #[error(transparent)]
    Context(#[from] BadContext),
    /// The target refused, or could not be reached.
    #[error("connect to {subsystem}: {refusal}")]
    Refused {
        /// The subsystem asked for.
        subsystem: String,
        /// The target's answer.
        refusal: ConnectRefusal,
    },
    /// This machine has a controller for the same subsystem under the same host name.
    #[error("already connected to {0}")]
    AlreadyConnected(String),
    /// Linux wants one host id for each host name, and one name for each id.
    #[error("host name {0} and its host id do not belong together")]
    HostIdentity(String),
    /// The controller is live, but its namespace was ignored: an older head has the same namespace.
    #[error("no usable device behind {0}")]
    NoDevice(String),
    /// The controller of this very grant exists and has lost its target.
    #[error("the controller of {0} is reconnecting")]
    Reconnecting(String),
    /// The machine is frozen.
    #[error("the machine is frozen")]
    Frozen,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// The target has it.
    Done,
    /// It waits in the head for a path.
    Queued,
    /// There is no device to write to.
    NoDevice,
}
