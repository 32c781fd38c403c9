//! A machine as others see it.

use serde::{Deserialize, Serialize};

use super::Kernel;

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineView {
    /// Its name.
    pub name: String,
    /// Its kernel.
    pub kernel: Kernel,
    /// Cut off from the target.
    pub partitioned: bool,
    /// Doing nothing at all.
    pub frozen: bool,
    /// Its controllers in the order of their creation.
    pub controllers: Vec<ControllerView>,
    /// Its namespace heads by subsystem name.
    pub heads: Vec<HeadView>,
    /// Writes issued.
    pub issued: u64,
    /// Writes the target has accepted.
    pub done: u64,
    /// Writes that ended with an error.
    pub failed: u64,
}

/// One controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerView {
    /// The subsystem.
    pub subsystem_nqn: String,
    /// The host name it connects with.
    pub host_nqn: String,
    /// In state `live`, otherwise `connecting`.
    pub live: bool,
    /// Its namespace is a path of the head; otherwise it was ignored.
    pub usable: bool,
    /// Failed attempts since it was live.
    pub attempts: u32,
}

/// One namespace head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadView {
    /// The subsystem.
    pub subsystem_nqn: String,
    /// The slot in its name.
    pub slot: String,
    /// Writes that wait for a path.
    pub queued: usize,
}

impl MachineView {
    /// Writes that wait for a path, of all heads.
    pub fn queued(&self) -> usize {
        self.heads.iter().map(|head| head.queued).sum()
    }

    /// Live controllers whose namespace can be used.
    pub fn live_paths(&self) -> usize {
        let usable = |controller: &&ControllerView| controller.live && controller.usable;
        self.controllers.iter().filter(usable).count()
    }
}
