//! Reading the whole RDS before anything is served: at start, and after every restart of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, debug, error, info, warn};

use crate::domain::error::{Error, Kind};
use crate::domain::grant::{FencingMode, Pair, Register, Scheme};
use crate::domain::id::VolumeId;
use crate::domain::leadership::{Epoch, Leadership};
use crate::domain::volume::Entry;
use crate::service::State;
use crate::service::ledger::{Memory, Told};
use crate::service::publish::explain;
use crate::service::registers::{After, Work};
use crate::service::shards::Lane;
use crate::service::term::Term;

/// Between two tries to read the RDS. The pool below reconnects with its own back-off; this only
/// keeps a device that refuses from being asked in a tight loop.
const RETRY: Duration = Duration::from_secs(1);
/// Steps to bring back one grant that the RDS lost: revoke, re-make, and each once more.
const MAX_STEPS: usize = 4;

/// A register that is not what this process last knew: the RDS came back with an older state.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Loss {
    /// This pair, which its node was told, must come back: the node goes on using it.
    Told(Pair),
    /// Whatever stands there is out of date: a node that it names may still have writes queued that
    /// were issued before another node's.
    Stale,
}

/// Reads at start and after every restart, for ever.
pub(super) async fn run(state: &Arc<State>) {
    let mut told = String::new();
    // Outlives a reading that fails half-way: by the next one, what was last seen is the older state.
    let mut lost = HashMap::new();
    loop {
        let incarnation = state.backend.incarnation();
        let span = tracing::info_span!("rebuild", incarnation, outcome = tracing::field::Empty);
        match rebuild(state, incarnation, &mut lost)
            .instrument(span.clone())
            .await
        {
            Ok(()) => {
                span.record("outcome", "done");
                told.clear();
                state.backend.restarted(incarnation).await;
                state.terms.end();
                warn!("the RDS restarted, or may have; nothing is served until it is read again");
            }
            Err(error) => {
                span.record("outcome", "failed");
                // A device can be down for hours: once for each reason is enough for a person.
                let reason = error.to_string();
                state.terms.failed(reason.clone());
                if reason == told {
                    debug!(?error, "the RDS still cannot be read");
                } else {
                    warn!(
                        ?error,
                        "the RDS cannot be read; nothing is served until it is"
                    );
                    told = reason;
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// One reading: what the device can enforce, every register, the epoch above all that left a mark.
/// Calls are served only once every register is what this process last knew: an old grant answered
/// to its node would let that node's queued writes in, over the data of whoever came since.
async fn rebuild(
    state: &Arc<State>,
    incarnation: u64,
    lost: &mut HashMap<VolumeId, Loss>,
) -> Result<(), Error> {
    // Nobody else leads a standalone RDS, so these permits need no term yet.
    let probing = Leadership::standalone(Epoch::ZERO);
    let permit = probing.permit(state.clock.boot())?;
    let mode = state
        .backend
        .probe_fencing(permit, &state.settings.base)
        .await?;
    if mode == FencingMode::Controller {
        return Err(Error::new(
            Kind::Misconfigured,
            "this RDS can neither change subsystem names nor restrict hosts, so it cannot keep a second node out; a standalone controller does not serve it (update RouterOS)",
        ));
    }
    let scheme = Scheme {
        mode,
        cluster: state.settings.cluster.tag(),
    };
    let mut reading = Reading::new(state, &scheme, lost);
    state
        .backend
        .list(&mut |entry| reading.take(&entry))
        .await?;
    let Reading { found, epoch, .. } = reading;
    state.ledger.retain(|id| found.contains(id));
    let epoch = epoch.next();
    let term = state
        .terms
        .prepare(Leadership::standalone(epoch), scheme, incarnation);
    for (id, loss) in lost.clone() {
        let (held, within, volume) = (Arc::clone(state), Arc::clone(&term), id.clone());
        let work = async move { repair(&held, &within, &volume, &loss).await };
        state.shards.run(&id, Lane::Repair, "repair", work).await?;
        lost.remove(&id);
    }
    state.terms.begin(term);
    state.terms.current()?;
    info!(
        ?epoch,
        fencing = mode.as_str(),
        volumes = found.len(),
        "serving"
    );
    Ok(())
}

/// Takes registers in, one after the other.
struct Reading<'a> {
    state: &'a Arc<State>,
    scheme: &'a Scheme,
    /// Registers that are not what this process last knew.
    lost: &'a mut HashMap<VolumeId, Loss>,
    found: HashSet<VolumeId>,
    /// The highest epoch in any name.
    epoch: Epoch,
}

// === impl Reading ===

impl<'a> Reading<'a> {
    fn new(
        state: &'a Arc<State>,
        scheme: &'a Scheme,
        lost: &'a mut HashMap<VolumeId, Loss>,
    ) -> Self {
        Self {
            state,
            scheme,
            lost,
            found: HashSet::new(),
            epoch: Epoch::ZERO,
        }
    }

    fn take(&mut self, entry: &Entry) {
        self.epoch = self
            .epoch
            .max(self.scheme.epoch_in(&entry.id, &entry.names));
        let Ok(file) = entry.prove_ours(self.scheme, &self.state.settings.base) else {
            return;
        };
        let (id, ledger) = (&entry.id, &self.state.ledger);
        self.found.insert(id.clone());
        let register = entry.register(self.scheme);
        let known = ledger.memory(id);
        let now = self.state.clock.boot();
        ledger.observe(id, &file, &register, now);
        match known {
            Some(memory) => {
                if let Some(loss) = Loss::between(&memory, &register) {
                    self.lost.entry(id.clone()).or_insert(loss);
                }
            }
            // Nobody else leads: after the settling time no line of a former process can be left,
            // so the node that stands there is the one that was told.
            None => {
                if let Some(pair) = register.pair() {
                    let from = now.after(self.state.settings.revoke_settle);
                    ledger.tell(
                        id,
                        Told {
                            pair: pair.clone(),
                            from,
                            access: None,
                            remade: false,
                        },
                    );
                }
            }
        }
    }
}

// === impl Loss ===

impl Loss {
    fn between(memory: &Memory, register: &Register) -> Option<Self> {
        let told = memory.told.as_ref().map(|told| &told.pair);
        match (memory.is_certain(), told) {
            (true, _) if memory.saw(register) => None,
            (true, Some(told)) => Some(Self::Told(told.clone())),
            (true, None) => Some(Self::Stale),
            // The last command's outcome is unknown. Its caller will ask again, so nothing is
            // brought back; but a pair that is not the one last told is out of date, or was told
            // to nobody.
            (false, told) => register
                .pair()
                .is_some_and(|pair| told.is_none_or(|told| pair.tail != told.tail))
                .then_some(Self::Stale),
        }
    }
}

/// Brings one register back to what this process last knew. Names that are not ours are left alone:
/// no call grants over them either.
async fn repair(
    state: &Arc<State>,
    term: &Arc<Term>,
    id: &VolumeId,
    loss: &Loss,
) -> Result<(), Error> {
    let work = Work::within(state, Arc::clone(term), id);
    for _ in 0..MAX_STEPS {
        let Some(entry) = work.read().await? else {
            return Ok(());
        };
        let view = match work.view(entry) {
            Ok(view) => view,
            Err(error) => {
                warn!(volume.id = %id, %error, "an entry that is not ours is left alone");
                return Ok(());
            }
        };
        let after = match (&view.register, loss) {
            (Register::Granted(pair), Loss::Told(told)) if pair == told => return Ok(()),
            (Register::Prepared(pair), Loss::Told(told)) if pair == told => {
                work.reopen(pair).await?
            }
            (Register::Free(free), Loss::Told(told)) if may_remake(&work, told) => {
                warn!(volume.id = %id, node = %told.node, "re-making a grant that the RDS lost");
                work.remake(free, told).await?
            }
            (Register::Free(_), Loss::Told(told)) => {
                error!(
                    volume.id = %id,
                    node = %told.node,
                    "a grant that the RDS lost cannot be brought back safely; the node has no access until the volume is detached and attached again"
                );
                state.ledger.untell(id);
                return Ok(());
            }
            (Register::Free(_), Loss::Stale) => return Ok(()),
            (Register::Granted(_) | Register::Prepared(_) | Register::Stray(_), _) => {
                warn!(volume.id = %id, "revoking a grant that is out of date");
                work.revoke(view.register.names()).await?
            }
            (Register::Foreign { why, .. }, _) => {
                let why = explain(*why);
                warn!(volume.id = %id, why, "names that are not ours are left alone");
                return Ok(());
            }
        };
        if let After::Unknown(error) = after {
            warn!(volume.id = %id, ?error, "reading again after a lost reply");
        }
    }
    Err(Error::new(
        Kind::Busy,
        format!("the names of {id} kept changing"),
    ))
}

/// Where only one name can be changed, it is changed in one step, and a single late line could write
/// it over another node's grant.
fn may_remake(work: &Work, told: &Pair) -> bool {
    work.term.scheme.mode == FencingMode::Pair && work.state.ledger.begin_remake(&work.id, told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file::BackingFile;
    use crate::domain::grant::Scheme;
    use crate::domain::id::ClusterId;
    use crate::domain::leadership::BootTime;
    use crate::domain::names::Tail;
    use crate::service::ledger::Ledger;

    fn id() -> VolumeId {
        "csi-0123456789abcdef0123456789ab".parse().unwrap()
    }

    fn pair(node: &str, random: u64) -> Pair {
        let cluster = "c".parse::<ClusterId>().unwrap().tag();
        let scheme = Scheme {
            mode: FencingMode::Pair,
            cluster,
        };
        let tail = Tail {
            epoch: Epoch::ZERO,
            unix_seconds: 0,
            random,
        };
        let free = scheme.first_names(&id(), tail);
        scheme.fresh_pair(&id(), &node.parse().unwrap(), &free, tail)
    }

    /// What is left in memory after `seen` was read (or, without it, after a lost reply).
    fn memory(seen: Option<&Register>, told: Option<Pair>) -> Memory {
        let ledger = Ledger::default();
        let now = BootTime::new(Duration::ZERO);
        let path = format!("/pool/{}.00000000.00000000.{:016x}.img", id(), 1);
        let file = BackingFile::read(&path).unwrap();
        let unseen = Register::Free(pair("z", 9).names);
        ledger.observe(&id(), &file, seen.unwrap_or(&unseen), now);
        if seen.is_none() {
            ledger.doubt(&id());
        }
        if let Some(pair) = told {
            ledger.tell(
                &id(),
                Told {
                    pair,
                    from: now,
                    access: None,
                    remade: false,
                },
            );
        }
        ledger.memory(&id()).unwrap()
    }

    #[test]
    fn a_restored_register_never_outlives_what_was_answered_since() {
        let (old, new) = (pair("a", 1), pair("b", 2));
        let granted = |pair: &Pair| Register::Granted(pair.clone());
        let free = Register::Free(pair("x", 3).names);
        let rows = [
            // seen, told, found -> loss
            (Some(granted(&new)), Some(&new), granted(&new), None),
            (
                Some(granted(&new)),
                Some(&new),
                granted(&old),
                Some(Loss::Told(new.clone())),
            ),
            (
                Some(granted(&new)),
                Some(&new),
                free.clone(),
                Some(Loss::Told(new.clone())),
            ),
            (Some(free.clone()), None, granted(&old), Some(Loss::Stale)),
            (Some(free.clone()), None, free.clone(), None),
            (None, Some(&new), granted(&old), Some(Loss::Stale)),
            (None, Some(&new), granted(&new), None),
            (None, Some(&new), free.clone(), None),
            (None, None, granted(&old), Some(Loss::Stale)),
            (None, None, free.clone(), None),
        ];
        for (seen, told, found, expected) in rows {
            let memory = memory(seen.as_ref(), told.cloned());
            assert_eq!(
                Loss::between(&memory, &found),
                expected,
                "{memory:?} found {found:?}"
            );
        }
    }
}
