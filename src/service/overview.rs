//! What people may ask about the services: how it goes, and everything about one volume.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::domain::claim::{Claim, Presence};
use crate::domain::drift::{Contention, Sight};
use crate::domain::error::{Error, Kind};
use crate::domain::grant::{FencingMode, Register, Scheme};
use crate::domain::id::{NodeId, VolumeId};
use crate::domain::leadership::{BootTime, Epoch};
use crate::domain::volume::{Entry, PoolSpace};
use crate::service::decisions::Decision;
use crate::service::drift::{Finding, Orphan};
use crate::service::mend::Proof;
use crate::service::shards::Load;
use crate::service::{State, Volumes};

/// Between two looks at the RDS of a replica that does not look at it for other reasons. Three replicas
/// send it a line in ten seconds, of the eighty that it can take; an alert that waits for minutes is
/// not held up.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How it goes.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Why calls are not served, if they are not.
    pub not_ready: Option<String>,
    /// The term in force.
    pub epoch: Option<Epoch>,
    /// How long it lasts if nothing renews it.
    pub remaining: Option<Duration>,
    /// What the RDS enforces, in the term in force.
    pub fencing: Option<FencingMode>,
    /// Restarts of the RDS that were noticed, doubtful ones included.
    pub incarnation: u64,
    /// When the RDS last answered, and whether it did when it was last asked.
    pub answered: (Option<BootTime>, Option<bool>),
    /// The pool, and when it was read.
    pub pool: Option<(PoolSpace, BootTime)>,
    /// Volumes that some node may be using, and that none does.
    pub volumes: (usize, usize),
    /// The queues.
    pub load: Vec<Load>,
    /// Volumes that are not served, and why.
    pub blocked: Vec<(VolumeId, String)>,
    /// What the reconciler found.
    pub findings: Vec<Finding>,
    /// Volumes without a PersistentVolume.
    pub orphans: Vec<Orphan>,
    /// What was decided last, about any volume.
    pub last_decision: Option<Decision>,
}

/// Everything about one volume, as it was just read.
#[derive(Debug)]
pub struct Account {
    /// The entry on the RDS.
    pub entry: Option<Entry>,
    /// What its names mean.
    pub register: Option<Register>,
    /// What this process decided about it last.
    pub decision: Option<Decision>,
    /// The claims on it, each with its machine.
    pub claims: Vec<(Claim, Presence)>,
    /// Whether another node would get it now.
    pub contention: Option<Contention>,
    /// Why nobody is served, if so.
    pub blocked: Option<String>,
}

/// When the RDS last answered, and what room it had.
#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<Reached>);

#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    last: Option<BootTime>,
    answered: Option<bool>,
    pool: Option<(PoolSpace, BootTime)>,
}

// === impl Reach ===

impl Reach {
    /// It answered, or did not.
    pub(super) fn record(&self, answered: bool, now: BootTime) {
        let mut reach = self.lock();
        reach.answered = Some(answered);
        if answered {
            reach.last = Some(now);
        }
    }

    /// The pool was read.
    fn pool(&self, space: PoolSpace, now: BootTime) {
        self.lock().pool = Some((space, now));
    }

    fn lock(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Volumes {
    /// Sees to it that every replica knows whether it reaches the RDS, and what room there is: one
    /// short line now and then, and none while somebody else asks for the same. Never ends.
    pub async fn keep_looking(&self) {
        let state = &self.0;
        loop {
            let last = state.reach.lock().pool;
            let is_due =
                last.is_none_or(|(_, read)| read.until(state.clock.boot()) >= LOOK_AGAIN / 2);
            if is_due && let Err(error) = state.look().await {
                tracing::debug!(%error, "the RDS could not be asked for its room");
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// How it goes, from memory.
    pub fn overview(&self) -> Overview {
        let state = &self.0;
        let term = state.terms.current();
        let (findings, orphans) = state.drift.all();
        let reached = *state.reach.lock();
        Overview {
            not_ready: term.as_ref().err().map(|error| error.context().to_owned()),
            epoch: term.as_ref().ok().map(|term| term.epoch()),
            remaining: term.as_ref().ok().and_then(|term| term.remaining()),
            fencing: term.as_ref().ok().map(|term| term.scheme.mode),
            incarnation: state.backend.incarnation(),
            answered: (reached.last, reached.answered),
            pool: reached.pool,
            volumes: state.ledger.census(),
            load: state.shards.load(),
            blocked: state.blocked.all(),
            findings,
            orphans,
            last_decision: state.decisions.last(),
        }
    }

    /// Counts, on the RDS itself, the volumes that some node may be using and those that none does:
    /// for a process that does not lead, and so does not remember them.
    ///
    /// # Errors
    /// Those of the RDS.
    pub async fn census(&self) -> Result<(usize, usize), Error> {
        let state = &self.0;
        let (scheme, base) = (state.scheme(), &state.settings.base);
        let (mut granted, mut free) = (0, 0);
        let mut show = |entry: Entry| {
            if entry.prove_ours(&scheme, base).is_ok() {
                let is_free = matches!(entry.register(&scheme), Register::Free(_));
                *(if is_free { &mut free } else { &mut granted }) += 1;
            }
        };
        let listed = state.backend.list(&mut show).await;
        state.reach.record(listed.is_ok(), state.clock.boot());
        listed.map(|()| (granted, free))
    }

    /// Everything about one volume. Changes nothing, so every replica may be asked.
    ///
    /// # Errors
    /// Those of the RDS and of the Kubernetes API.
    pub async fn account(&self, id: &VolumeId) -> Result<Account, Error> {
        let state = &self.0;
        let scheme = state.scheme();
        let entry = state.backend.read(id).await?;
        let register = entry.as_ref().map(|entry| entry.register(&scheme));
        let proof = Proof::about(state, id).await?;
        let contention = register.as_ref().and_then(|register| {
            let pair = register.pair()?;
            let sight = Sight {
                mode: scheme.mode,
                register,
                claims: &proof.claims,
                answered: None,
            };
            let anybody: NodeId = "another-node".parse().ok()?;
            Some(sight.contention(pair, &anybody, |node| proof.presence(node)))
        });
        let claims = proof.claims.iter();
        let claims = claims.map(|claim| (claim.clone(), proof.presence(&claim.node)));
        Ok(Account {
            claims: claims.collect(),
            entry,
            register,
            contention,
            decision: state.decisions.about(id),
            blocked: state
                .blocked
                .check(id)
                .err()
                .map(|error| error.context().to_owned()),
        })
    }
}

impl State {
    /// Asks the RDS for its room, which also shows whether it can be reached.
    pub(super) async fn look(&self) -> Result<PoolSpace, Error> {
        let space = self.backend.space(&self.settings.base).await;
        let now = self.clock.boot();
        match &space {
            Ok(space) => {
                self.reach.pool(*space, now);
                self.reach.record(true, now);
            }
            // A device that refuses is a device that answers.
            Err(error) => {
                let is_silent = matches!(error.kind(), Kind::Unavailable | Kind::Timeout);
                self.reach.record(!is_silent, now);
            }
        }
        space
    }

    /// How names are read: as in the term in force, or as most devices allow.
    pub(super) fn scheme(&self) -> Scheme {
        match self.terms.current() {
            Ok(term) => term.scheme.clone(),
            Err(_) => Scheme {
                mode: FencingMode::Pair,
                cluster: self.settings.cluster.tag(),
            },
        }
    }
}
