//! The device behind the lock: state, target, log, and the rules that tie them together.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::sim::backing::{Backing, Stamp};
use crate::sim::faults::DeviceFaults;
use crate::sim::name::Name;
use crate::sim::observer::{Event, Log, What, WriteRecord};
use crate::sim::personality::{EmptyAllowList, Personality, Policies};
use crate::sim::state::State;
use crate::sim::state::disk::Disk;
use crate::sim::target::{
    ConnectRefusal, ConnectRequest, EndReason, Session, SessionGone, SessionId, Target,
};
use crate::sim::value::ItemId;

/// Everything a line or a session touches. Locked for short sections, never across an await.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) state: State,
    pub(crate) personality: Personality,
    pub(crate) faults: DeviceFaults,
    pub(crate) users: BTreeMap<String, Policies>,
    pub(crate) backing: Backing,
    pub(crate) log: Log,
    pub(crate) target: Target,
    /// Counts changes of `state` that a state file must follow.
    pub(crate) generation: u64,
    /// Rows that `find`, `print` and `get` have looked at: shows that lookups use an index.
    pub(crate) visited: u64,
    powered: bool,
    boots: u64,
    booted_at: Instant,
    /// Unix time at which the monotonic clock of the log stood at zero.
    epoch: Duration,
}

impl Device {
    pub(crate) fn new(
        state: State,
        personality: Personality,
        backing: Backing,
        log_capacity: usize,
    ) -> Self {
        Self {
            state,
            personality,
            faults: DeviceFaults::default(),
            users: BTreeMap::new(),
            backing,
            log: Log::new(log_capacity),
            target: Target::default(),
            generation: 0,
            visited: 0,
            powered: true,
            boots: 1,
            booted_at: Instant::now(),
            epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// Unix seconds on the device's clock.
    pub(crate) fn unix_now(&self) -> u64 {
        (self.epoch + self.log.now()).as_secs()
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.booted_at.elapsed()
    }

    /// Which boot this is, while the device is up. A line of an earlier boot is dead.
    pub(crate) fn boot(&self) -> Option<u64> {
        self.powered.then_some(self.boots)
    }

    pub(crate) fn policies(&self, user: &str) -> Policies {
        self.users.get(user).copied().unwrap_or(Policies::FULL)
    }

    pub(crate) fn set_power(&mut self, on: bool) {
        if on == self.powered {
            return;
        }
        self.powered = on;
        if on {
            self.boots += 1;
            self.booted_at = Instant::now();
            self.log.push(What::Rebooted);
            self.log.announce(Event::Rebooted);
        } else {
            self.log.push(What::PoweredOff);
            let all: Vec<SessionId> = self.target.all().map(|session| session.id).collect();
            self.end_all(all, EndReason::PowerOff);
            self.log.announce(Event::PoweredOff);
        }
    }
}

// === Sessions ===

impl Device {
    pub(crate) fn connect(
        &mut self,
        request: &ConnectRequest,
    ) -> Result<SessionId, ConnectRefusal> {
        let machine: Name = request.machine.as_str().into();
        let subsystem_nqn: Name = request.subsystem_nqn.as_str().into();
        let host_nqn: Name = request.host_nqn.as_str().into();
        let (disk, slot, backing) = match self.admit(request) {
            Ok(admitted) => admitted,
            Err(why) => {
                let refused = What::SessionRefused {
                    machine,
                    subsystem_nqn,
                    host_nqn,
                    why,
                };
                self.log.push(refused);
                return Err(why);
            }
        };
        let id = self.target.next_id();
        let opened_seq = self.log.tick();
        let session = Session {
            id,
            machine,
            subsystem_nqn,
            host_nqn,
            host_id: request.host_id.as_str().into(),
            disk,
            slot,
            backing,
            opened_at: self.log.now(),
            opened_seq,
        };
        self.log
            .push_at(opened_seq, What::SessionOpened(session.clone()));
        self.log.announce(Event::SessionOpened(id));
        self.target.open(session);
        Ok(id)
    }

    /// Compares the names, as they are at this moment.
    fn admit(&self, request: &ConnectRequest) -> Result<(ItemId, Name, Name), ConnectRefusal> {
        if !self.powered {
            return Err(ConnectRefusal::Down);
        }
        let id = self.state.export(&request.subsystem_nqn);
        let found = id.and_then(|id| Some((id, self.state.disk(id)?)));
        let (id, disk) = found.ok_or(ConnectRefusal::UnknownSubsystem)?;
        if !self.allows(disk, &request.host_nqn) {
            return Err(ConnectRefusal::HostNotAllowed);
        }
        Ok((id, disk.slot.as_str().into(), disk.backing().into()))
    }

    fn allows(&self, disk: &Disk, host_nqn: &str) -> bool {
        match disk.allow_host_name.as_str() {
            "" => self.personality.empty_allow_list == EmptyAllowList::AnyHost,
            allowed => allowed == host_nqn,
        }
    }

    pub(crate) fn end(&mut self, id: SessionId, why: EndReason) {
        let seq = self.log.tick();
        if let Some(session) = self.target.close(id, seq) {
            self.log.push_at(seq, What::SessionEnded { session, why });
            self.log.announce(Event::SessionEnded { session: id, why });
        }
    }

    fn end_all(&mut self, ids: Vec<SessionId>, why: EndReason) {
        for id in ids {
            self.end(id, why);
        }
    }

    /// Ends the sessions that the change of an entry from `before` to its present form ends.
    pub(crate) fn follow_change(&mut self, id: ItemId, before: &Disk) {
        let ids = |device: &Self, keep: &dyn Fn(&Session) -> bool| -> Vec<SessionId> {
            let sessions = device.target.of_disk(id, before.backing());
            sessions
                .into_iter()
                .filter(|s| !keep(s))
                .map(|s| s.id)
                .collect()
        };
        let Some(after) = self.state.disk(id) else {
            let gone = ids(self, &|_| false);
            self.end_all(gone, EndReason::EntryRemoved);
            return;
        };
        if before.is_served() && !after.is_served() && self.personality.ends_sessions_on_unexport {
            let gone = ids(self, &|_| false);
            self.end_all(gone, EndReason::ExportOff);
        } else if self.personality.ends_sessions_on_allow_change
            && before.allow_host_name != after.allow_host_name
        {
            let gone = ids(self, &|session| self.allows(after, &session.host_nqn));
            self.end_all(gone, EndReason::NotAllowedAnyMore);
        }
    }

    pub(crate) fn write(
        &mut self,
        id: SessionId,
        offset: u64,
        stamp: Stamp,
        issued_seq: u64,
    ) -> Result<(), SessionGone> {
        let Some(session) = self.target.get(id).cloned() else {
            self.log.push(What::WriteRefused {
                session: id,
                offset,
                stamp,
                issued_seq,
            });
            return Err(SessionGone);
        };
        self.state
            .write(&self.backing, &session.backing, offset, stamp.clone());
        let accepted_seq = self.log.push(What::WriteAccepted(WriteRecord {
            session: id,
            machine: session.machine.clone(),
            slot: session.slot.clone(),
            backing: session.backing.clone(),
            offset,
            stamp,
            issued_seq,
        }));
        self.target.accepted(&session, issued_seq, accepted_seq);
        Ok(())
    }

    pub(crate) fn read(&self, id: SessionId, offset: u64) -> Result<Option<Stamp>, SessionGone> {
        let session = self.target.get(id).ok_or(SessionGone)?;
        Ok(self.state.read(&self.backing, &session.backing, offset))
    }
}
