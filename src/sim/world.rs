//! The simulated RDS as others use it: a command channel, a data path and an observer.

mod config;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::sim::backing::{Backing, Stamp};
use crate::sim::device::Device;
use crate::sim::faults::DeviceFaults;
use crate::sim::gate::Gate;
use crate::sim::observer::{Entry, Event, What};
use crate::sim::personality::{Personality, Policies};
use crate::sim::run;
use crate::sim::state::State;
use crate::sim::state::disk::DiskView;
use crate::sim::state::file::canonical;
use crate::sim::store::{OpenError, Storage, Store};
use crate::sim::target::{
    ConnectRefusal, ConnectRequest, EndReason, Overlap, Replay, Session, SessionGone, SessionId,
};

pub use crate::sim::world::config::{Config, PoolConfig};

/// What an exec request answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Lines end in CR LF. RouterOS reports failures here.
    pub stdout: Vec<u8>,
    /// Empty unless the personality is strict.
    pub stderr: Vec<u8>,
    /// `None`: no exit status is sent, or the device went down under the line.
    pub exit: Option<u32>,
}

/// A write over a session.
#[derive(Debug, Clone)]
pub struct Write {
    /// Byte offset; rounded down to a sector.
    pub offset: u64,
    /// The content.
    pub stamp: Stamp,
    /// [`World::now_seq`] at the moment the machine issued the write, however late it arrives.
    pub issued_seq: u64,
}

/// The disk entries at one moment, to be restored later.
#[derive(Debug, Clone)]
pub struct Snapshot(State);

/// A simulated RDS.
pub struct World {
    device: Mutex<Device>,
    gate: Mutex<Option<Arc<dyn Gate>>>,
    lines: AtomicU64,
    store: Option<Store>,
}

// === impl World ===

impl World {
    /// A device that keeps everything in memory.
    pub fn new(config: Config) -> Arc<Self> {
        let mut device = Device::new(
            State::default(),
            config.personality.clone(),
            Backing::Memory,
            config.log_capacity,
        );
        device.state = config.state(device.unix_now());
        device.users = config.users;
        Arc::new(Self::around(device, None))
    }

    /// A device with real backing files, a state file, or both. A state file that exists replaces
    /// the pools and the identity of `config`.
    ///
    /// # Errors
    /// [`OpenError`] when the state file cannot be read or the directory cannot be made.
    pub fn open(config: Config, storage: Storage) -> Result<Arc<Self>, OpenError> {
        let backing = storage
            .files_dir
            .clone()
            .map_or(Backing::Memory, Backing::Directory);
        let mut device = Device::new(
            State::default(),
            config.personality.clone(),
            backing,
            config.log_capacity,
        );
        let loaded = storage.load()?;
        device.state = loaded.unwrap_or_else(|| config.state(device.unix_now()));
        Storage::make_directories(&device.state, &device.backing)?;
        device.users = config.users;
        Ok(Arc::new(Self::around(device, Store::new(storage))))
    }

    fn around(device: Device, store: Option<Store>) -> Self {
        let (device, gate) = (Mutex::new(device), Mutex::new(None));
        Self {
            device,
            gate,
            lines: AtomicU64::new(0),
            store,
        }
    }

    /// The device. A panic elsewhere while it was held left a usable value: every section either
    /// completes or has not begun.
    pub(crate) fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn gate(&self) -> Option<Arc<dyn Gate>> {
        self.gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Runs one line as `user`. Dropping the future ends the line where it stands, as a closed
    /// channel would.
    pub async fn exec(self: &Arc<Self>, user: &str, line: &str) -> ExecOutput {
        let number = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        run::line(self, number, user, line).await
    }

    /// Writes the state file now. Without one, does nothing.
    ///
    /// # Errors
    /// Those of the host's file system.
    pub async fn save(&self) -> std::io::Result<()> {
        match &self.store {
            Some(store) => store.save(self, true).await,
            None => Ok(()),
        }
    }
}

// === The data path ===

impl World {
    /// Opens a session if an export has this name and allows this host.
    ///
    /// # Errors
    /// [`ConnectRefusal`].
    pub fn connect(&self, request: &ConnectRequest) -> Result<SessionId, ConnectRefusal> {
        self.device().connect(request)
    }

    /// Ends a session from the host's side. One that has ended already stays ended.
    pub fn disconnect(&self, session: SessionId) {
        self.device().end(session, EndReason::Disconnected);
    }

    /// Writes, if the session is alive at this moment.
    ///
    /// # Errors
    /// [`SessionGone`]; nothing was written.
    pub fn write(&self, session: SessionId, write: Write) -> Result<(), SessionGone> {
        self.device()
            .write(session, write.offset, write.stamp, write.issued_seq)
    }

    /// Reads the last stamp at an offset.
    ///
    /// # Errors
    /// [`SessionGone`].
    pub fn read(&self, session: SessionId, offset: u64) -> Result<Option<Stamp>, SessionGone> {
        self.device().read(session, offset)
    }

    /// Reads a backing file by the slot of its entry or by its path, without a session.
    pub fn read_backing(&self, slot_or_path: &str, offset: u64) -> Option<Stamp> {
        let device = self.device();
        let entry = device
            .state
            .slot(slot_or_path)
            .and_then(|id| device.state.disk(id));
        let name = match entry {
            Some(disk) => disk.backing().to_owned(),
            None => canonical(slot_or_path)?,
        };
        device.state.read(&device.backing, &name, offset)
    }

    /// The live sessions.
    pub fn sessions(&self) -> Vec<Session> {
        self.device().target.all().cloned().collect()
    }
}

// === The observer ===

impl World {
    /// Entries after `since_seq`, as far as the ring still has them.
    pub fn log(&self, since_seq: u64) -> Vec<Entry> {
        self.device().log.since(since_seq)
    }

    /// Entries the ring has lost.
    pub fn log_dropped(&self) -> u64 {
        self.device().log.dropped()
    }

    /// Events from now on. A receiver that lags is told so and reads [`World::sessions`] again.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.device().log.subscribe()
    }

    /// The newest sequence number given out.
    pub fn now_seq(&self) -> u64 {
        self.device().log.now_seq()
    }

    /// Every time two machines had live sessions on one backing file. Complete whatever the log
    /// has dropped. For volumes shared on purpose this is no fault.
    pub fn second_writers(&self) -> Vec<Overlap> {
        self.device().target.overlaps().to_vec()
    }

    /// Every accepted write that was issued before another machine's later session on the same
    /// backing file was opened: issued < opened < accepted. Complete whatever the log has dropped.
    pub fn replayed_writes(&self) -> Vec<Replay> {
        self.device().target.replays().to_vec()
    }

    /// Findings of both kinds beyond those kept.
    pub fn findings_dropped(&self) -> u64 {
        self.device().target.uncounted()
    }

    /// Rows that lookups have visited since the start.
    pub fn rows_visited(&self) -> u64 {
        self.device().visited
    }

    /// One disk entry.
    pub fn disk(&self, slot: &str) -> Option<DiskView> {
        let device = self.device();
        let id = device.state.slot(slot)?;
        device.state.disk(id).map(|disk| disk.view(id))
    }

    /// All disk entries in the order of their ids.
    pub fn disks(&self) -> Vec<DiskView> {
        self.device()
            .state
            .disks()
            .map(|(id, disk)| disk.view(id))
            .collect()
    }

    /// Names of all files and directories.
    pub fn files(&self) -> Vec<String> {
        self.device()
            .state
            .files()
            .map(|(name, _)| name.to_owned())
            .collect()
    }
}

// === What tests and faults do to it ===

impl World {
    /// Power off or on. Off ends every session and every line; on starts uptime anew.
    pub fn set_power(&self, on: bool) {
        self.device().set_power(on);
    }

    /// Off and on in one moment. Configuration and data stay.
    pub fn reboot(&self) {
        let mut device = self.device();
        device.set_power(false);
        device.set_power(true);
    }

    /// The disk entries as they are now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.device().state.configuration())
    }

    /// Loads an older configuration as RouterOS does: disk entries come back as they were, files
    /// and data stay as they are, and the device reboots.
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut device = self.device();
        device.set_power(false);
        device.state.restore_disks(&snapshot.0);
        device.generation += 1;
        device.log.push(What::Restored);
        device.set_power(true);
    }

    /// Turns it into another kind of device. Entries stay.
    pub fn set_personality(&self, personality: Personality) {
        self.device().personality = personality;
    }

    /// What kind of device it is.
    pub fn personality(&self) -> Personality {
        self.device().personality.clone()
    }

    /// Replaces the faults in force.
    pub fn set_faults(&self, faults: DeviceFaults) {
        self.device().faults = faults;
    }

    /// Sets what a user may do.
    pub fn set_policies(&self, user: &str, policies: Policies) {
        self.device().users.insert(user.to_owned(), policies);
    }

    /// What a user may do.
    pub fn policies(&self, user: &str) -> Policies {
        self.device().policies(user)
    }

    /// Sets or clears the gate; lines that wait at the old one stay with it.
    pub fn set_gate(&self, gate: Option<Arc<dyn Gate>>) {
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = gate;
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}
