//! Reading and changing one volume's register: every step with a permit, every reply remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Instrument, debug, field};

use crate::domain::error::{Effect, Error, Kind};
use crate::domain::grant::{Pair, Register};
use crate::domain::id::{NodeId, VolumeId};
use crate::domain::leadership::Permit;
use crate::domain::names::{Names, NodeLabel, Tail};
use crate::domain::volume::Entry;
use crate::service::ledger::{Memory, Told};
use crate::service::term::Term;
use crate::service::{State, traced};

/// Work on one volume in one term. Made inside the volume's turn.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) state: Arc<State>,
    pub(super) term: Arc<Term>,
    pub(super) id: VolumeId,
    /// A command's outcome is unknown, and nothing has been read since.
    in_doubt: AtomicBool,
}

/// A volume of ours as it was read.
#[derive(Debug)]
pub(super) struct View {
    pub(super) entry: Entry,
    pub(super) register: Register,
}

/// What came of a command.
#[derive(Debug)]
pub(super) enum After {
    /// Read back in the same reply.
    View(Box<View>),
    /// Read back in the same reply: the entry is gone.
    Gone,
    /// No complete reply: it may have happened, or may yet happen.
    Unknown(Error),
}

impl Work {
    /// Begins work in the term in force.
    pub(super) fn begin(state: &Arc<State>, id: &VolumeId) -> Result<Self, Error> {
        Ok(Self::within(state, state.terms.current()?, id))
    }

    /// Work in a term that may not be in force yet.
    pub(super) fn within(state: &Arc<State>, term: Arc<Term>, id: &VolumeId) -> Self {
        Self {
            state: Arc::clone(state),
            term,
            id: id.clone(),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Ends the work: a failure after a lost reply is not a claim about the RDS, whatever its kind.
    pub(super) fn end<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let in_doubt = self.in_doubt.load(Ordering::Relaxed);
        result.map_err(|error| {
            if in_doubt {
                error.with_unknown_effect()
            } else {
                error
            }
        })
    }

    /// A reply was lost: what was last seen is worth nothing.
    pub(super) fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
        self.state.ledger.doubt(&self.id);
    }

    /// The RDS has answered: what it says is what is so.
    pub(super) fn resolved(&self) {
        self.in_doubt.store(false, Ordering::Relaxed);
    }

    /// What is remembered of the volume.
    pub(super) fn memory(&self) -> Memory {
        self.state.ledger.memory(&self.id).unwrap_or_default()
    }

    /// What the next command may be built on without reading first.
    pub(super) fn expectation(&self) -> Option<Register> {
        let expected = self.state.ledger.expectation(&self.id)?;
        Some(Register::clone(&expected))
    }

    /// Reads the entry, whoever it belongs to.
    pub(super) async fn read(&self) -> Result<Option<Entry>, Error> {
        let reading = self.state.backend.read(&self.id);
        let entry = if self.in_doubt.load(Ordering::Relaxed) {
            // What becomes of a command whose reply was lost is seen here.
            let span = tracing::info_span!("read_back", after = "a lost reply");
            reading.instrument(span).await?
        } else {
            reading.await?
        };
        self.resolved();
        self.term.check()?;
        if entry.is_none() {
            self.state.ledger.forget(&self.id);
        }
        Ok(entry)
    }

    /// Takes an entry for a volume of ours, and remembers what it says. What comes back after the
    /// term is over is not remembered: it may be an older state that a restart brought back, and the
    /// next reading finds that out by what this term last saw.
    ///
    /// # Errors
    /// `InUse` if it is not provably ours.
    pub(super) fn view(&self, entry: Entry) -> Result<View, Error> {
        let file = entry.prove_ours(&self.term.scheme, &self.state.settings.base)?;
        let register = entry.register(&self.term.scheme);
        if self.term.check().is_ok() {
            let now = self.state.clock.boot();
            self.state.ledger.observe(&self.id, &file, &register, now);
        }
        Ok(View { entry, register })
    }

    /// Reads a volume of ours; `None` if there is no such entry.
    pub(super) async fn read_ours(&self) -> Result<Option<View>, Error> {
        self.read().await?.map(|entry| self.view(entry)).transpose()
    }

    /// A fresh tail of this term.
    pub(super) fn tail(&self) -> Tail {
        Tail {
            epoch: self.term.epoch(),
            unix_seconds: self.state.clock.unix_seconds(),
            random: self.state.clock.random(),
        }
    }

    /// Fresh free names for an entry that now has the names `held`.
    pub(super) fn fresh_free(&self, held: &Names) -> Names {
        self.term.scheme.fresh_free(&self.id, held, self.tail())
    }

    /// Writes a fresh pair for `node` over the names `free`.
    pub(super) async fn grant(&self, node: &NodeId, free: &Names) -> Result<(Pair, After), Error> {
        let pair = self
            .term
            .scheme
            .fresh_pair(&self.id, node, free, self.tail());
        self.write(free, pair).await
    }

    async fn write(&self, free: &Names, pair: Pair) -> Result<(Pair, After), Error> {
        debug!(volume.id = %self.id, node = %pair.node, epoch = ?self.term.epoch(), "granting");
        let permit = self.permit()?;
        let reply = self
            .state
            .backend
            .grant(permit, &self.id, free, &pair.names)
            .await;
        Ok((pair, self.after(reply)?))
    }

    /// Writes a fresh pair for all that share the volume over the names `free`.
    pub(super) async fn share(&self, free: &Names) -> Result<(Pair, After), Error> {
        let pair = self.term.scheme.shared_pair(&self.id, free, self.tail());
        self.write(free, pair).await
    }

    /// Cuts and frees `held`.
    pub(super) async fn revoke(&self, held: &Names) -> Result<After, Error> {
        let fresh = self.fresh_free(held);
        debug!(volume.id = %self.id, epoch = ?self.term.epoch(), "revoking");
        let permit = self.permit()?;
        let reply = self
            .state
            .backend
            .revoke(permit, &self.id, held, &fresh)
            .await;
        self.after(reply)
    }

    /// Cuts and opens under the same pair.
    pub(super) async fn reopen(&self, pair: &Pair) -> Result<After, Error> {
        debug!(volume.id = %self.id, node = %pair.node, "reopening");
        let permit = self.permit()?;
        let reply = self
            .state
            .backend
            .reopen(permit, &self.id, &pair.names)
            .await;
        self.after(reply)
    }

    /// Writes a told pair that the register lost.
    pub(super) async fn remake(&self, free: &Names, pair: &Pair) -> Result<After, Error> {
        debug!(volume.id = %self.id, node = %pair.node, "re-making");
        let permit = self.permit()?;
        let reply = self
            .state
            .backend
            .remake(permit, &self.id, free, &pair.names)
            .await;
        self.after(reply)
    }

    /// Takes the read-back of a command in, or its lack.
    pub(super) fn after(&self, reply: Result<Option<Entry>, Error>) -> Result<After, Error> {
        match reply {
            Ok(entry) => {
                self.resolved();
                let Some(entry) = entry else {
                    read_back("gone");
                    self.state.ledger.forget(&self.id);
                    return Ok(After::Gone);
                };
                let view = self.view(entry)?;
                read_back(view.register.as_str());
                Ok(After::View(Box::new(view)))
            }
            Err(error) if error.effect() == Effect::Unknown => {
                self.doubt();
                Ok(After::Unknown(error))
            }
            Err(error) => {
                // A refusal in the middle of a line leaves the steps before it done.
                self.state.ledger.doubt(&self.id);
                Err(error)
            }
        }
    }

    /// Whether `node` has been told the pair in `register`.
    pub(super) fn is_told(&self, memory: &Memory, register: &Register) -> bool {
        let now = self.state.clock.boot();
        match (&memory.told, register.pair()) {
            (Some(told), Some(pair)) => told.covers(pair.tail, now),
            _ => false,
        }
    }

    /// Waits until `node` may be let in: not before a revoke has stood for the settling time,
    /// unless it was the same node that left.
    pub(super) async fn settle(&self, node: &NodeLabel) {
        let Some((who, when)) = self.memory().left else {
            return;
        };
        if who.as_ref() == Some(node) {
            return;
        }
        let ready = when.after(self.state.settings.revoke_settle);
        let settled = async {
            loop {
                let left = self.state.clock.boot().until(ready);
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left).await;
            }
        };
        settled.instrument(tracing::info_span!("settle")).await;
    }

    /// Records that a node is about to be told a pair, if the term still runs.
    pub(super) fn tell(&self, told: Told) -> Result<(), Error> {
        self.term.check()?;
        self.state.ledger.tell(&self.id, told);
        Ok(())
    }

    /// The right to send one command.
    pub(super) fn permit(&self) -> Result<Permit, Error> {
        let left = self.term.remaining().map(|left| left.as_secs_f64());
        let span = tracing::info_span!(
            "permit",
            lease.epoch = traced(self.term.epoch()),
            lease.seconds_left = left,
            outcome = field::Empty,
        );
        let _entered = span.enter();
        let permit = self.term.permit();
        let outcome = if permit.is_ok() { "granted" } else { "refused" };
        span.record("outcome", outcome);
        permit
    }

    /// No entry of this name.
    pub(super) fn not_found(&self) -> Error {
        not_found(self.id.as_str())
    }
}

/// A span of no length for a read-back: it came with the reply to the command before it.
fn read_back(register: &'static str) {
    let span = tracing::info_span!("read_back", after = "the command", register);
    span.in_scope(|| debug!("read back"));
}

/// There is no such volume.
pub(super) fn not_found(id: &str) -> Error {
    Error::new(
        Kind::NotFound,
        format!("there is no volume {id} on the RDS"),
    )
}
