//! Registers that are not what this process last knew: the RDS came back with an older state.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{error, warn};

use crate::domain::error::{Error, Kind};
use crate::domain::grant::{FencingMode, Pair, Register};
use crate::domain::id::VolumeId;
use crate::metrics::volumes::Repair;
use crate::service::State;
use crate::service::ledger::Memory;
use crate::service::publish::explain;
use crate::service::registers::{After, Work};
use crate::service::term::Term;

/// Steps to bring back one grant that the RDS lost: revoke, re-make, and each once more.
const MAX_STEPS: usize = 4;

/// What was lost, by volume. Outlives a reading that fails half-way: by the next one, what was last
/// seen is the older state.
pub(super) type Losses = HashMap<VolumeId, Loss>;

/// A register that is not what this process last knew: the RDS came back with an older state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loss {
    /// This pair, which its node was told, must come back: the node goes on using it.
    Told(Pair),
    /// Whatever stands there is out of date: a node that it names may still have writes queued that
    /// were issued before another node's.
    Stale,
}

// === impl Loss ===

impl Loss {
    /// What the difference between the last reading and this one means.
    pub(super) fn between(memory: &Memory, register: &Register) -> Option<Self> {
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
pub(super) async fn repair(
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
                state.counters.repaired(Repair::Reopened);
                work.reopen(pair).await?
            }
            (Register::Free(free), Loss::Told(told)) if may_remake(&work, told) => {
                warn!(volume.id = %id, node = %told.node, "re-making a grant that the RDS lost");
                state.counters.repaired(Repair::Remade);
                work.remake(free, told).await?
            }
            (Register::Free(_), Loss::Told(told)) => {
                error!(
                    volume.id = %id,
                    node = %told.node,
                    "a grant that the RDS lost cannot be brought back safely; the node has no access until the volume is detached and attached again"
                );
                state.counters.repaired(Repair::Lost);
                state.ledger.untell(id);
                return Ok(());
            }
            (Register::Free(_), Loss::Stale) => return Ok(()),
            (Register::Granted(_) | Register::Prepared(_) | Register::Stray(_), _) => {
                warn!(volume.id = %id, "revoking a grant that is out of date");
                state.counters.repaired(Repair::Revoked);
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
    use std::time::Duration;

    use super::*;
    use crate::domain::file::BackingFile;
    use crate::domain::grant::Scheme;
    use crate::domain::id::ClusterId;
    use crate::domain::leadership::{BootTime, Epoch};
    use crate::domain::names::Tail;
    use crate::service::ledger::{Ledger, Told};

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
