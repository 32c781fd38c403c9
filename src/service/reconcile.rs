//! The reconciler: each shard looks over its own volumes now and then, and brings back what drifted.
//!
//! A pass suspects by what was listed and watched, both of which may be out of date. Only what still
//! looks wrong inside the volume's own turn, by a fresh read and a quorum read of the claims, is
//! repaired. It never deletes a VolumeAttachment, a finalizer or a volume.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{Instrument, debug, info_span, warn};

use crate::domain::claim::{Presence, Watched};
use crate::domain::drift::{Need, Reason, Sight};
use crate::domain::error::Error;
use crate::domain::event::What;
use crate::domain::grant::Register;
use crate::domain::id::VolumeId;
use crate::domain::leadership::BootTime;
use crate::domain::shard::Shard;
use crate::domain::volume::Entry;
use crate::service::State;
use crate::service::drift::{Finding, Orphan};
use crate::service::mend::Outcome;
use crate::service::registers::Work;
use crate::service::shards::Lane;
use crate::service::term::Term;

/// Repairs in one pass of one shard. What is left over waits for the next pass: with 16 shards a
/// minute these are 128 repairs a minute at most, a twentieth of what the RDS can take.
const MOST_REPAIRS: usize = 8;
/// Volumes without a PersistentVolume that are kept for people to see, in one shard.
const MOST_ORPHANS: usize = 64;

/// How often to look, and how long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two passes of one shard.
    pub interval: Duration,
    /// How long something that may be the middle of something else must look wrong.
    pub grace: Duration,
}

/// A volume that looked wrong in the last pass.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    what: &'static str,
    since: BootTime,
    /// People have been told that it is there.
    announced: bool,
    /// Looked at, and beyond repair: not to be told again and again.
    given_up: bool,
}

/// One shard's passes.
struct Patrol {
    state: Arc<State>,
    shard: Shard,
    pace: Pace,
    suspects: HashMap<VolumeId, Suspect>,
}

/// What one listed volume looks like.
struct Look {
    what: &'static str,
    /// Whether it may be the middle of something still under way.
    wants_patience: bool,
    holder: Option<String>,
}

/// Looks over all shards, each at its own time, until it is dropped.
pub(super) async fn run(state: &Arc<State>, pace: Pace) {
    state.drift.clear();
    let mut patrols = JoinSet::new();
    for shard in state.settings.shards.all() {
        let patrol = Patrol {
            state: Arc::clone(state),
            shard,
            pace,
            suspects: HashMap::new(),
        };
        patrols.spawn(patrol.run());
    }
    while let Some(ended) = patrols.join_next().await {
        if let Err(panic) = ended {
            warn!(%panic, "a reconciler broke off; its shard is not looked over before the next term");
        }
    }
    std::future::pending::<()>().await;
}

// === impl Patrol ===

impl Patrol {
    async fn run(mut self) {
        loop {
            sleep(self.pause()).await;
            let shard = i64::from(self.shard.index());
            let span = info_span!(parent: None, "reconcile", shard);
            if let Err(error) = self.pass().instrument(span).await {
                debug!(shard = self.shard.index(), %error, "a reconcile pass broke off");
            }
        }
    }

    /// Half to one and a half intervals, so that shards do not keep step.
    fn pause(&self) -> Duration {
        let share = u32::try_from(self.state.clock.random() % 1000).unwrap_or_default();
        self.pace.interval / 2 + self.pace.interval * share / 1000
    }

    async fn pass(&mut self) -> Result<(), Error> {
        let term = self.state.terms.current()?;
        let (looks, orphans) = self.look_over(&term).await?;
        let now = self.state.clock.boot();
        let mut due = Vec::new();
        let mut suspects = HashMap::new();
        for (id, look) in looks {
            let before = self.suspects.get(&id).filter(|was| was.what == look.what);
            let mut suspect = before.copied().unwrap_or(Suspect {
                what: look.what,
                since: now,
                announced: false,
                given_up: false,
            });
            let looked_so = suspect.since.until(now);
            // Seen twice: it is not just on its way.
            if look.wants_patience && before.is_some() && !suspect.announced {
                self.announce(&term, &id, &look);
                suspect.announced = true;
            }
            let is_ripe =
                !look.wants_patience || (before.is_some() && looked_so >= self.pace.grace);
            if is_ripe && !suspect.given_up {
                due.push((id.clone(), look.wants_patience));
            }
            suspects.insert(id, suspect);
        }
        self.suspects = suspects;
        self.report(orphans);
        for (id, is_due) in due.into_iter().take(MOST_REPAIRS) {
            self.repair(id, is_due).await;
        }
        Ok(())
    }

    /// Lists the shard's volumes and compares each with what was watched.
    async fn look_over(
        &self,
        term: &Arc<Term>,
    ) -> Result<(Vec<(VolumeId, Look)>, Vec<Orphan>), Error> {
        let (mut looks, mut orphans) = (Vec::new(), Vec::new());
        let mut show = |entry: Entry| {
            let base = &self.state.settings.base;
            if entry.prove_ours(&term.scheme, base).is_err() {
                return;
            }
            let cluster = self.state.cluster.as_ref();
            let Some(watched) = cluster.and_then(|cluster| cluster.watched(&entry.id)) else {
                return;
            };
            let register = entry.register(&term.scheme);
            if !watched.is_known && orphans.len() < MOST_ORPHANS {
                orphans.push(Orphan {
                    volume: entry.id.clone(),
                    size: entry.size,
                    since: term.scheme.written(&entry.id, &entry.names),
                });
            }
            if let Some(look) = self.look(term, &entry.id, &register, &watched) {
                looks.push((entry.id, look));
            }
        };
        for digit in self.shard.digits() {
            self.state.backend.list_part(digit, &mut show).await?;
        }
        term.check()?;
        Ok((looks, orphans))
    }

    fn look(
        &self,
        term: &Term,
        id: &VolumeId,
        register: &Register,
        watched: &Watched,
    ) -> Option<Look> {
        let told = self.state.ledger.memory(id).and_then(|memory| memory.told);
        let sight = Sight {
            mode: term.scheme.mode,
            register,
            claims: &watched.claims,
            answered: told.as_ref().map(|told| &told.pair),
        };
        let presence = |node: &_| {
            let known = watched.presence.get(node).copied();
            known.unwrap_or(Presence::Present)
        };
        let (what, wants_patience) = match sight.need(presence) {
            // Blocked volumes are looked at until they are settled, however they look from here.
            Need::Nothing | Need::Believe(_) if self.state.blocked.check(id).is_err() => {
                ("blocked", false)
            }
            Need::Nothing | Need::Believe(_) => return None,
            Need::Reopen(_) => ("closed on the RDS, although its node uses it", false),
            Need::Remake(..) => ("lost on the RDS, although its node uses it", false),
            Need::Lost(_, reason) => (reason.as_str(), false),
            Need::Revoke(_, reason) => (reason.as_str(), !reason.is_plain()),
            Need::Freeze(_) => ("several nodes have a right to it", false),
        };
        Some(Look {
            what,
            wants_patience,
            holder: register.holder().map(ToString::to_string),
        })
    }

    /// People hear of an orphan while there is time to do something about it.
    fn announce(&self, term: &Term, id: &VolumeId, look: &Look) {
        if look.what != Reason::Orphan.as_str() {
            return;
        }
        let node = look.holder.clone().unwrap_or_default();
        let what = What::OrphanFound {
            volume: id.clone(),
            node,
        };
        self.state.tell(term.epoch(), what);
    }

    fn report(&self, orphans: Vec<Orphan>) {
        let findings = self.suspects.iter().map(|(volume, suspect)| Finding {
            volume: volume.clone(),
            what: suspect.what,
            since: suspect.since,
        });
        let mut findings: Vec<Finding> = findings.collect();
        findings.sort_by(|left, right| left.volume.cmp(&right.volume));
        self.state.drift.found(self.shard, findings, orphans);
    }

    /// Looks again inside the volume's turn, and does what is needed then.
    async fn repair(&mut self, id: VolumeId, is_due: bool) {
        let (state, volume) = (Arc::clone(&self.state), id.clone());
        let mending = async move {
            let work = Work::begin(&state, &volume)?;
            let mut proof = work.proof().await?;
            proof.is_due = is_due;
            work.mend(&proof).await
        }
        .in_current_span();
        let shards = &self.state.shards;
        match shards.run(&id, Lane::Repair, "reconcile", mending).await {
            Ok(mended) => {
                self.state.blocked.clear(&id);
                if let Some(suspect) = self.suspects.get_mut(&id) {
                    suspect.given_up = mended.outcome == Outcome::Lost;
                }
            }
            Err(error) => {
                warn!(volume.id = %id, %error, "a volume could not be repaired; the next pass tries again");
            }
        }
    }
}
