//! The second half of a take-over: the claims are read and joined to what the RDS holds, what was lost
//! is brought back, and calls are served.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use tracing::{Instrument, info, warn};

use crate::domain::claim::Survey;
use crate::domain::drift::{Need, Sight};
use crate::domain::error::Error;
use crate::domain::grant::{FencingMode, Register};
use crate::domain::id::VolumeId;
use crate::domain::leadership::Leadership;
use crate::domain::names::Names;
use crate::metrics::volumes::{Phase, Rows};
use crate::service::State;
use crate::service::ledger::Told;
use crate::service::loss::Losses;
use crate::service::mend::Proof;
use crate::service::reading::Reading;
use crate::service::registers::Work;
use crate::service::shards::Lane;
use crate::service::term::Term;

/// Repairs under way at once. Each keeps one of the few SSH connections busy for a round trip, and the
/// API for another; twice the default four connections keep both from idling.
const AT_ONCE: usize = 8;

/// Joins and repairs, then serves. A row that cannot be resolved or repaired blocks its volume only.
///
/// # Errors
/// If the claims cannot be read, or the term ends before it has begun.
pub(super) async fn serve(
    state: &Arc<State>,
    leadership: &Arc<Leadership>,
    reading: Reading,
    losses: &mut Losses,
) -> Result<FencingMode, Error> {
    let began = state.clock.boot();
    let joined = join(state, leadership, reading, losses).await;
    let took = began.until(state.clock.boot());
    state.counters.rebuilt(Phase::Join, joined.is_ok(), took);
    joined
}

async fn join(
    state: &Arc<State>,
    leadership: &Arc<Leadership>,
    reading: Reading,
    losses: &mut Losses,
) -> Result<FencingMode, Error> {
    let survey = match &state.cluster {
        Some(cluster) => cluster.survey(&reading.volumes).await?,
        None => Survey::default(),
    };
    let mode = reading.scheme.mode;
    let term = state.terms.prepare(
        Arc::clone(leadership),
        reading.scheme.clone(),
        reading.incarnation,
    );
    let mut blocked = survey.blocked.clone();
    blocked.retain(|id, _| reading.volumes.contains(id));
    let wanting = sift(state, &reading, &survey, losses);
    let found = wanting.len();
    let mends = wanting.into_iter().map(|id| {
        let proof = proof(&survey, losses, &id);
        mend(state, &term, id, proof)
    });
    let mut mends = futures::stream::iter(mends).buffer_unordered(AT_ONCE);
    while let Some((id, result)) = mends.next().await {
        if let Err(error) = result {
            term.check()?;
            warn!(volume.id = %id, %error, "a volume is not served before it is repaired");
            blocked.insert(id, error.to_string());
        }
    }
    drop(mends);
    losses.clear();
    info!(
        volumes = reading.volumes.len(),
        granted = reading.registers.len(),
        claimed = survey.claims.len(),
        repaired = found,
        blocked = blocked.len(),
        "joined"
    );
    state.counters.found(Rows {
        volumes: reading.volumes.len(),
        granted: reading.registers.len(),
        claimed: survey.claims.len(),
        repaired: found,
        blocked: blocked.len(),
    });
    state.blocked.replace(blocked);
    state.terms.begin(term);
    state.terms.current()?;
    Ok(mode)
}

/// What stands as it was told counts as told; returns the volumes that need more than that.
fn sift(
    state: &Arc<State>,
    reading: &Reading,
    survey: &Survey,
    losses: &Losses,
) -> HashSet<VolumeId> {
    let now = state.clock.boot();
    let mut wanting: HashSet<VolumeId> = losses.keys().cloned().collect();
    let claimed = survey
        .claims
        .keys()
        .filter(|id| reading.volumes.contains(*id));
    let ids: HashSet<&VolumeId> = reading.registers.keys().chain(claimed).collect();
    for id in ids {
        let told = state.ledger.memory(id).and_then(|memory| memory.told);
        // Free registers are not kept: any will do, as none of their names matters here.
        let free = Register::Free(Names {
            subsystem: None,
            host: None,
        });
        let sight = Sight {
            mode: reading.scheme.mode,
            register: reading.registers.get(id).unwrap_or(&free),
            claims: survey.on(id),
            answered: told.as_ref().map(|told| &told.pair),
        };
        match sight.need(|node| survey.presence(node)) {
            Need::Nothing => {}
            Need::Believe(pair) => {
                let is_known = told.is_some_and(|told| told.pair == pair);
                if !is_known {
                    let told = Told {
                        pair,
                        from: now,
                        access: None,
                        remade: false,
                    };
                    state.ledger.tell(id, told);
                }
            }
            // Nobody waits for it, so there is time to make sure: the reconciler does.
            Need::Revoke(_, reason) if !reason.is_plain() => {}
            _ => {
                wanting.insert(id.clone());
            }
        }
    }
    wanting
}

async fn mend(
    state: &Arc<State>,
    term: &Arc<Term>,
    id: VolumeId,
    proof: Proof,
) -> (VolumeId, Result<(), Error>) {
    let work = Work::within(state, Arc::clone(term), &id);
    let mending = async move { work.mend(&proof).await.map(drop) }.in_current_span();
    let mended = state.shards.run(&id, Lane::Repair, "repair", mending).await;
    (id, mended)
}

fn proof(survey: &Survey, losses: &Losses, id: &VolumeId) -> Proof {
    let claims = survey.on(id).to_vec();
    let presence = claims
        .iter()
        .map(|claim| (claim.node.clone(), survey.presence(&claim.node)))
        .collect();
    Proof {
        claims,
        presence,
        is_stale: losses.contains_key(id),
        is_due: false,
    }
}
