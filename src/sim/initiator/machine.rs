//! One machine: its controllers, its namespace heads, and what its kernel does with them.

mod kernel;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{
    ConnectError, ControllerView, HeadView, MachineConfig, MachineView, Names, PublishContext,
    Written, slot_of,
};
use crate::sim::name::Name;
use crate::sim::target::SessionId;
use crate::sim::world::{World, Write};

/// A machine that may hold paths to volumes.
#[derive(Debug)]
pub struct Machine {
    config: MachineConfig,
    own_host_nqn: String,
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    controllers: BTreeMap<u64, Controller>,
    heads: BTreeMap<String, Head>,
    /// Sessions the target may still keep although the machine has given them up.
    stale: Vec<SessionId>,
    partitioned: bool,
    frozen: bool,
    last_id: u64,
    issued: u64,
    done: u64,
    failed: u64,
}

#[derive(Debug)]
struct Controller {
    names: Names,
    session: Option<SessionId>,
    /// Its namespace is a path of the subsystem's head.
    path: bool,
    attempts: u32,
}

/// The block device: what is mounted, and where writes wait.
#[derive(Debug)]
struct Head {
    /// Tells namespaces apart, as the namespace's UUID does for the kernel.
    backing: Name,
    since: u64,
    queue: VecDeque<Write>,
}

impl Machine {
    /// A machine without any path.
    pub fn new(config: MachineConfig, world: Arc<World>) -> Self {
        Self {
            own_host_nqn: format!("nqn.2014-08.org.nvmexpress:uuid:{}", config.name),
            config,
            world,
            state: Mutex::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn reconnect_delay(&self) -> Duration {
        self.config.reconnect_delay
    }

    /// The names this machine connects with for a publish context.
    ///
    /// # Errors
    /// The context lacks a name.
    pub fn names(&self, context: &PublishContext) -> Result<Names, ConnectError> {
        Ok(Names::from_context(context, &self.own_host_nqn)?)
    }

    /// Gains a path as a correct node plugin does: every controller of an earlier grant of the
    /// volume is deleted first, and a live session of the current grant is left alone.
    ///
    /// # Errors
    /// There is no usable device afterwards.
    pub fn stage(&self, context: &PublishContext) -> Result<(), ConnectError> {
        let names = self.names(context)?;
        let slot = slot_of(&names.subsystem_nqn).to_owned();
        let earlier = |controller: &Controller| {
            slot_of(&controller.names.subsystem_nqn) == slot && controller.names != names
        };
        self.remove_where(earlier);
        match self.connect(names.clone()) {
            Err(ConnectError::AlreadyConnected(_)) => {}
            other => other?,
        }
        self.rescan();
        let state = self.lock();
        let mine = state.controllers.values().find(|one| one.names == names);
        match mine {
            Some(Controller {
                session: Some(_),
                path: true,
                ..
            }) => Ok(()),
            Some(Controller { session: None, .. }) => {
                Err(ConnectError::Reconnecting(names.subsystem_nqn))
            }
            _ => Err(ConnectError::NoDevice(names.subsystem_nqn)),
        }
    }

    /// Gains a path without deleting anything first: what a careless or malicious node does.
    ///
    /// # Errors
    /// The kernel or the target refuses.
    pub fn connect_only(&self, context: &PublishContext) -> Result<(), ConnectError> {
        self.connect(self.names(context)?)
    }

    /// Connects with names of one's own choosing.
    ///
    /// # Errors
    /// The kernel or the target refuses. Nothing is retried: that is for controllers that were live
    /// once.
    pub fn connect(&self, names: Names) -> Result<(), ConnectError> {
        let mut state = self.lock();
        if state.frozen {
            return Err(ConnectError::Frozen);
        }
        for other in state.controllers.values().map(|one| &one.names) {
            if (other.host_nqn == names.host_nqn) != (other.host_id == names.host_id) {
                return Err(ConnectError::HostIdentity(names.host_nqn));
            }
            if other.subsystem_nqn == names.subsystem_nqn && other.host_nqn == names.host_nqn {
                return Err(ConnectError::AlreadyConnected(names.subsystem_nqn));
            }
        }
        let session = self
            .reach(&state, &names)
            .map_err(|refusal| ConnectError::Refused {
                subsystem: names.subsystem_nqn.clone(),
                refusal,
            })?;
        state.last_id += 1;
        let id = state.last_id;
        let controller = Controller {
            names,
            session: Some(session),
            path: false,
            attempts: 0,
        };
        state.controllers.insert(id, controller);
        self.scan(&mut state, id);
        Ok(())
    }

    /// Deletes every controller of a volume, named by its slot or by a subsystem name. Writes that
    /// wait fail.
    pub fn disconnect(&self, target: &str) {
        self.remove_where(|controller| {
            let subsystem = &controller.names.subsystem_nqn;
            subsystem == target || slot_of(subsystem) == target
        });
    }

    /// Issues a write to a volume, named by its slot (then the newest device of it is meant) or by
    /// a subsystem name.
    pub fn write(&self, target: &str) -> Written {
        let mut state = self.lock();
        let Some(subsystem) = state.device(target) else {
            return Written::NoDevice;
        };
        state.issued += 1;
        let write = Write {
            offset: 0,
            stamp: kernel::stamp(&self.config.name, slot_of(&subsystem), state.issued),
            issued_seq: self.world.now_seq(),
        };
        if let Some(head) = state.heads.get_mut(&subsystem) {
            head.queue.push_back(write);
        }
        self.flush(&mut state, &subsystem);
        match state.heads.get(&subsystem) {
            Some(head) if !head.queue.is_empty() => Written::Queued,
            _ => Written::Done,
        }
    }

    /// Looks whether the target has ended sessions: their controllers are reconnecting from now on.
    pub fn notice(&self) {
        let mut state = self.lock();
        if state.partitioned || state.frozen {
            return;
        }
        let sessions = self.world.sessions();
        let live: BTreeSet<SessionId> = sessions.iter().map(|session| session.id).collect();
        for controller in state.controllers.values_mut() {
            controller.session = controller.session.filter(|session| live.contains(session));
        }
    }

    /// Lets every controller without a session try to reconnect once, with the names it has always
    /// had.
    pub fn reconnect_now(&self) {
        self.notice();
        let mut state = self.lock();
        if state.frozen {
            return;
        }
        let lost = state
            .controllers
            .iter()
            .filter(|(_, one)| one.session.is_none());
        let lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            self.reconnect(&mut state, id);
        }
    }

    /// Looks again for namespaces of live controllers that have none: `nvme ns-rescan`.
    pub fn rescan(&self) {
        let mut state = self.lock();
        let unused = state.controllers.iter().filter(|(_, one)| !one.path);
        let unused: Vec<u64> = unused.map(|(id, _)| *id).collect();
        for id in unused {
            self.scan(&mut state, id);
        }
    }

    /// Cuts the machine off from the target, or ends that. Neither end notices by itself: what is
    /// written meanwhile waits, and goes out afterwards over a session that still lives.
    pub fn partition(&self, on: bool) {
        let mut state = self.lock();
        state.partitioned = on;
        self.flush_all(&mut state);
    }

    /// Stops the machine, or lets it go on where it stopped: what it had issued goes out then.
    pub fn freeze(&self, on: bool) {
        let mut state = self.lock();
        state.frozen = on;
        self.flush_all(&mut state);
    }

    /// The machine's keep-alive timer runs out: it gives up its sessions, which the target may
    /// still keep.
    pub fn give_up_sessions(&self) {
        let mut state = self.lock();
        let State {
            controllers, stale, ..
        } = &mut *state;
        stale.extend(
            controllers
                .values_mut()
                .filter_map(|one| one.session.take()),
        );
    }

    /// The target's keep-alive timer runs out for sessions this machine has given up.
    pub fn expire_stale_sessions(&self) {
        for session in std::mem::take(&mut self.lock().stale) {
            self.world.disconnect(session);
        }
    }

    /// The machine as others see it.
    pub fn view(&self) -> MachineView {
        let state = self.lock();
        let controllers = state.controllers.values().map(|one| ControllerView {
            subsystem_nqn: one.names.subsystem_nqn.clone(),
            host_nqn: one.names.host_nqn.clone(),
            live: one.session.is_some(),
            usable: one.path,
            attempts: one.attempts,
        });
        let heads = state.heads.iter().map(|(subsystem, head)| HeadView {
            subsystem_nqn: subsystem.clone(),
            slot: slot_of(subsystem).to_owned(),
            queued: head.queue.len(),
        });
        MachineView {
            name: self.config.name.clone(),
            kernel: self.config.kernel,
            partitioned: state.partitioned,
            frozen: state.frozen,
            controllers: controllers.collect(),
            heads: heads.collect(),
            issued: state.issued,
            done: state.done,
            failed: state.failed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The subsystem whose head is meant by a slot or a subsystem name.
    fn device(&self, target: &str) -> Option<String> {
        if self.heads.contains_key(target) {
            return Some(target.to_owned());
        }
        let of_slot = self
            .heads
            .iter()
            .filter(|(name, _)| slot_of(name) == target);
        of_slot
            .max_by_key(|(_, head)| head.since)
            .map(|(name, _)| name.clone())
    }
}
