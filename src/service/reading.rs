//! Reading the whole RDS: what the device can enforce, every register, the highest epoch.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::error::{Error, Kind};
use crate::domain::grant::{FencingMode, Register, Scheme};
use crate::domain::id::VolumeId;
use crate::domain::leadership::{BootTime, Epoch, Leadership};
use crate::domain::volume::Entry;
use crate::metrics::volumes::Phase;
use crate::service::State;
use crate::service::ledger::Told;
use crate::service::loss::{Loss, Losses};

/// What one reading of the RDS found.
#[derive(Debug)]
pub(super) struct Reading {
    /// The incarnation of the device that was read.
    pub(super) incarnation: u64,
    /// How names are written and read on it.
    pub(super) scheme: Scheme,
    /// The highest epoch in any name.
    pub(super) highest: Epoch,
    /// When the reading began.
    pub(super) sent: BootTime,
    /// The volumes that are provably ours.
    pub(super) volumes: HashSet<VolumeId>,
    /// Those of their registers that are not free. Kept only where claims are joined to them: names
    /// are long, and a standalone controller has no use for thousands of them.
    pub(super) registers: HashMap<VolumeId, Register>,
}

/// Takes registers in, one after the other.
struct Reader<'a> {
    state: &'a Arc<State>,
    losses: &'a mut Losses,
    reading: Reading,
}

// === impl Reading ===

impl Reading {
    /// Reads everything, as the leader that is about to serve.
    ///
    /// # Errors
    /// Those of the RDS, and `Misconfigured` if it cannot keep a second node out.
    pub(super) async fn take(
        state: &Arc<State>,
        leadership: &Leadership,
        losses: &mut Losses,
    ) -> Result<Self, Error> {
        let began = state.clock.boot();
        let taken = Self::read(state, leadership, losses).await;
        let took = began.until(state.clock.boot());
        state.counters.rebuilt(Phase::Rds, taken.is_ok(), took);
        taken
    }

    async fn read(
        state: &Arc<State>,
        leadership: &Leadership,
        losses: &mut Losses,
    ) -> Result<Self, Error> {
        let incarnation = state.backend.incarnation();
        let sent = state.clock.boot();
        let permit = leadership.permit(sent)?;
        let base = &state.settings.base;
        let mode = state.backend.probe_fencing(permit, base).await?;
        if mode == FencingMode::Controller {
            return Err(Error::new(
                Kind::Misconfigured,
                "this RDS can neither change subsystem names nor restrict hosts, so it cannot keep a second node out; this release does not serve it (update RouterOS)",
            ));
        }
        let mut reader = Reader {
            state,
            losses,
            reading: Self {
                incarnation,
                scheme: Scheme {
                    mode,
                    cluster: state.settings.cluster.tag(),
                },
                highest: Epoch::ZERO,
                sent,
                volumes: HashSet::new(),
                registers: HashMap::new(),
            },
        };
        let mut show = |entry: Entry| reader.take(&entry);
        state.backend.list(&mut show).await?;
        let reading = reader.reading;
        state.reach.record(true, state.clock.boot());
        state.ledger.retain(|id| reading.volumes.contains(id));
        Ok(reading)
    }

    /// Reads the epochs in all names, and changes nothing: a follower may.
    ///
    /// # Errors
    /// Those of the RDS.
    pub(super) async fn highest(state: &Arc<State>) -> Result<Epoch, Error> {
        // Which names are ours depends on the cluster only.
        let scheme = Scheme {
            mode: FencingMode::Pair,
            cluster: state.settings.cluster.tag(),
        };
        let mut highest = Epoch::ZERO;
        let mut show = |entry: Entry| {
            highest = highest.max(scheme.epoch_in(&entry.id, &entry.names));
        };
        state.backend.list(&mut show).await?;
        state.reach.record(true, state.clock.boot());
        Ok(highest)
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn take(&mut self, entry: &Entry) {
        let reading = &mut self.reading;
        let epoch = reading.scheme.epoch_in(&entry.id, &entry.names);
        reading.highest = reading.highest.max(epoch);
        let base = &self.state.settings.base;
        let Ok(file) = entry.prove_ours(&reading.scheme, base) else {
            return;
        };
        let (id, ledger) = (&entry.id, &self.state.ledger);
        reading.volumes.insert(id.clone());
        let register = entry.register(&reading.scheme);
        let known = ledger.memory(id);
        let now = self.state.clock.boot();
        ledger.observe(id, &file, &register, now);
        match known {
            Some(memory) => {
                if let Some(loss) = Loss::between(&memory, &register) {
                    self.losses.entry(id.clone()).or_insert(loss);
                }
            }
            None if self.state.cluster.is_none() => self.believe(id, &register, now),
            None => {}
        }
        if self.state.cluster.is_some() && !matches!(register, Register::Free(_)) {
            self.reading.registers.insert(id.clone(), register);
        }
    }

    /// Where nobody else leads: after the settling time no line of a former process can be left, so
    /// the node that stands there is the one that was told.
    fn believe(&self, id: &VolumeId, register: &Register, now: BootTime) {
        let Some(pair) = register.pair() else { return };
        let told = Told {
            pair: pair.clone(),
            from: now.after(self.state.settings.revoke_settle),
            access: None,
            remade: false,
        };
        self.state.ledger.tell(id, told);
    }
}
