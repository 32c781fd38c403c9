//! What the kernel does with controllers and heads: reach, scan, reconnect, flush, remove.

use std::collections::VecDeque;

use super::{Controller, Head, Machine, State};
use crate::sim::backing::Stamp;
use crate::sim::initiator::{Kernel, Names};
use crate::sim::target::{ConnectRefusal, ConnectRequest, SessionId};

/// Letters of the machine's name in a stamp: with a slot of 32, two colons and 10 digits that makes
/// 64 bytes.
const NAME_IN_STAMP: usize = 20;
/// As above, of the slot.
const SLOT_IN_STAMP: usize = 32;

impl Machine {
    pub(super) fn reach(&self, state: &State, names: &Names) -> Result<SessionId, ConnectRefusal> {
        if state.partitioned {
            return Err(ConnectRefusal::Down);
        }
        self.world.connect(&ConnectRequest {
            machine: self.config.name.clone(),
            subsystem_nqn: names.subsystem_nqn.clone(),
            host_nqn: names.host_nqn.clone(),
            host_id: names.host_id.clone(),
        })
    }

    pub(super) fn reconnect(&self, state: &mut State, id: u64) {
        let Some(names) = state.controllers.get(&id).map(|one| one.names.clone()) else {
            return;
        };
        let answer = self.reach(state, &names);
        let Some(controller) = state.controllers.get_mut(&id) else {
            return;
        };
        let refusal = match answer {
            Ok(session) => {
                controller.session = Some(session);
                controller.attempts = 0;
                self.scan(state, id);
                return;
            }
            Err(refusal) => refusal,
        };
        controller.attempts += 1;
        let attempts = u128::from(controller.attempts);
        let out_of_time = self
            .config
            .max_reconnects()
            .is_some_and(|max| attempts >= max);
        let told_no = refusal != ConnectRefusal::Down && self.config.kernel == Kernel::V6_12;
        if out_of_time || told_no {
            self.remove(state, id);
        }
    }

    /// Makes a live controller's namespace a path of its subsystem's head. A namespace that another
    /// head has already is ignored, as both kernels do with duplicate ids.
    pub(super) fn scan(&self, state: &mut State, id: u64) {
        let State {
            controllers, heads, ..
        } = &mut *state;
        let Some(controller) = controllers.get_mut(&id) else {
            return;
        };
        let Some(session) = controller.session else {
            return;
        };
        let subsystem = controller.names.subsystem_nqn.clone();
        if !controller.path {
            let sessions = self.world.sessions();
            let Some(found) = sessions.into_iter().find(|other| other.id == session) else {
                return;
            };
            let elsewhere = heads
                .iter()
                .any(|(other, head)| *other != subsystem && head.backing == found.backing);
            if elsewhere {
                return;
            }
            heads.entry(subsystem.clone()).or_insert_with(|| Head {
                backing: found.backing,
                since: id,
                queue: VecDeque::new(),
            });
            controller.path = true;
        }
        self.flush(state, &subsystem);
    }

    pub(super) fn flush_all(&self, state: &mut State) {
        let subsystems: Vec<String> = state.heads.keys().cloned().collect();
        for subsystem in subsystems {
            self.flush(state, &subsystem);
        }
    }

    /// Sends what waits in a head over any of its paths.
    pub(super) fn flush(&self, state: &mut State, subsystem: &str) {
        if state.partitioned || state.frozen {
            return;
        }
        let State {
            controllers,
            heads,
            done,
            ..
        } = &mut *state;
        let Some(head) = heads.get_mut(subsystem) else {
            return;
        };
        let paths = controllers
            .values_mut()
            .filter(|one| one.path && one.names.subsystem_nqn == subsystem);
        for path in paths {
            let Some(session) = path.session else {
                continue;
            };
            while let Some(write) = head.queue.front() {
                if self.world.write(session, write.clone()).is_err() {
                    path.session = None;
                    break;
                }
                head.queue.pop_front();
                *done += 1;
            }
        }
    }

    pub(super) fn remove_where(&self, matches: impl Fn(&Controller) -> bool) {
        let mut state = self.lock();
        let ids = state.controllers.iter().filter(|(_, one)| matches(one));
        let ids: Vec<u64> = ids.map(|(id, _)| *id).collect();
        for id in ids {
            self.remove(&mut state, id);
        }
    }

    /// Deletes a controller. With its last path a head goes, and the writes that wait in it fail.
    pub(super) fn remove(&self, state: &mut State, id: u64) {
        let Some(gone) = state.controllers.remove(&id) else {
            return;
        };
        match gone.session {
            // The goodbye does not arrive: the target keeps the session until its own timer.
            Some(session) if state.partitioned => state.stale.push(session),
            Some(session) => self.world.disconnect(session),
            None => {}
        }
        let subsystem = gone.names.subsystem_nqn;
        let still = |one: &Controller| one.path && one.names.subsystem_nqn == subsystem;
        if !state.controllers.values().any(still)
            && let Some(head) = state.heads.remove(&subsystem)
        {
            state.failed += head.queue.len() as u64;
        }
    }
}

/// Who wrote, where, and which of its writes it was.
pub(super) fn stamp(machine: &str, slot: &str, counter: u64) -> Stamp {
    let start = |text: &str, most: usize| -> String {
        text.chars().filter(char::is_ascii).take(most).collect()
    };
    let (machine, slot) = (start(machine, NAME_IN_STAMP), start(slot, SLOT_IN_STAMP));
    let counter = counter % 10_000_000_000;
    Stamp::new(format!("{machine}:{slot}:{counter}"))
        .expect("the parts are bounded to 64 bytes together and end in a digit")
}
