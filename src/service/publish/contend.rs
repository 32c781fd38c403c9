//! What the claims say about a publish that the register alone does not settle.

use tracing::warn;

use crate::domain::drift::{Contention, Reason, Sight};
use crate::domain::error::{Error, Kind};
use crate::domain::event::What;
use crate::domain::grant::{Pair, Register};
use crate::domain::names::NodeLabel;
use crate::domain::publish::Publish;
use crate::service::mend::{Outcome, Proof};
use crate::service::publish::Publishing;
use crate::service::registers::{After, View};

/// A live migration has a source and a target.
const MOST_SHARERS: usize = 2;

impl Publishing {
    /// A volume that could not be resolved when the term began may be by now.
    pub(super) async fn unblock(&self) -> Result<(), Error> {
        let (state, id) = (&self.work.state, &self.work.id);
        if state.blocked.check(id).is_err() {
            let proof = self.work.proof().await?;
            self.work.mend(&proof).await?;
            state.blocked.clear(id);
        }
        Ok(())
    }

    /// Whether what was decided rests on what only VolumeAttachments know. The way that nearly all
    /// calls go, a fresh pair over free names that nobody was told, does not.
    pub(super) fn needs_claims(&self, decided: &Publish, register: &Register, told: bool) -> bool {
        let own = register.holder() == Some(&self.label);
        match decided {
            // The RDS may have lost what a node was told.
            Publish::Grant(_) => self.work.memory().told.is_some(),
            Publish::HeldBy(_) => true,
            Publish::AsItStands(_) | Publish::Reopen(_) if self.label.is_shared() => {
                !self.is_sharer()
            }
            Publish::AsItStands(_) => false,
            Publish::Reopen(_) | Publish::RevokeFirst(_) => own && !told,
            Publish::Untouchable(_) => false,
        }
    }

    /// Asks for the claims and does what they say. Returns what the register is after that, if that
    /// is known.
    pub(super) async fn consult(&self, decided: &Publish) -> Result<Option<View>, Error> {
        let proof = self.work.proof().await?;
        match decided {
            Publish::HeldBy(pair) => self.contend(pair, &proof).await,
            Publish::AsItStands(pair) | Publish::Reopen(pair) if self.label.is_shared() => {
                self.join(pair, &proof).await
            }
            Publish::Grant(_)
            | Publish::AsItStands(_)
            | Publish::Reopen(_)
            | Publish::RevokeFirst(_)
            | Publish::Untouchable(_) => {
                let mended = self.work.mend(&proof).await?;
                if matches!(decided, Publish::Grant(_)) && mended.outcome == Outcome::AsItWas {
                    // Whoever was told has no claim any more, or has not used what it was told.
                    self.work.state.ledger.untell(&self.work.id);
                }
                mended.view.map(Some).ok_or_else(|| self.work.not_found())
            }
        }
    }

    /// Another node holds the volume: it keeps it, unless it is not entitled to it any more.
    async fn contend(&self, pair: &Pair, proof: &Proof) -> Result<Option<View>, Error> {
        let asking = &self.request.node;
        if pair.node == NodeLabel::of(asking) || self.uses(pair, proof) {
            let context = format!(
                "volume {} is published to {asking} in another access mode than asked now; unpublish it first",
                self.work.id
            );
            return Err(Error::new(Kind::Incompatible, context));
        }
        let register = Register::Granted(pair.clone());
        let told = self.work.memory().told;
        let sight = Sight {
            mode: self.work.term.scheme.mode,
            register: &register,
            claims: &proof.claims,
            answered: told.as_ref().map(|told| &told.pair),
        };
        match sight.contention(pair, asking, |node| proof.presence(node)) {
            Contention::Held => {
                self.work.happened(What::AttachmentConflict {
                    volume: self.work.id.clone(),
                    holder: pair.node.to_string(),
                    asking: asking.clone(),
                });
                Err(self.held_by(pair))
            }
            Contention::Revoke(reason) => self.clear(pair, reason).await,
        }
    }

    /// Cuts a holder off that has no right to the volume any more.
    async fn clear(&self, pair: &Pair, reason: Reason) -> Result<Option<View>, Error> {
        let why = reason.as_str();
        warn!(volume.id = %self.work.id, node = %pair.node, why, "revoking a grant");
        let after = self.work.revoke(&pair.names).await?;
        self.work.happened(What::StaleAttachmentCleared {
            volume: self.work.id.clone(),
            node: pair.node.to_string(),
            why,
        });
        match after {
            After::View(view) => Ok(Some(*view)),
            After::Gone => Err(self.work.not_found()),
            After::Unknown(_) => Ok(None),
        }
    }

    /// One more node for a shared volume, or one that has it already and asks again.
    async fn join(&self, pair: &Pair, proof: &Proof) -> Result<Option<View>, Error> {
        let asking = &self.request.node;
        let others = proof.entitled().filter(|claim| &claim.node != asking);
        let others: Vec<_> = others.collect();
        let told = proof
            .claims
            .iter()
            .any(|claim| claim.told.as_ref() == Some(&pair.names));
        match others.as_slice() {
            // Every other holder is gone: cut off what they may still be writing, and begin anew.
            [] if told && !self.uses(pair, proof) => {
                return self.clear(pair, Reason::NodeGone).await;
            }
            [other] if !self.uses(pair, proof) => self.work.happened(What::MigrationStarted {
                volume: self.work.id.clone(),
                from: other.node.to_string(),
                to: asking.clone(),
            }),
            [first, second, ..] if others.len() >= MOST_SHARERS => {
                let context = format!(
                    "volume {} is attached to {} and {}; {asking} can have it when one of them has let go",
                    self.work.id, first.node, second.node
                );
                return Err(Error::new(Kind::AttachedElsewhere, context));
            }
            [..] => {}
        }
        self.work.state.shares.join(&self.work.id, asking);
        if told {
            self.work.believe(pair.clone())?;
        }
        Ok(None)
    }

    /// Whether the asking node has been told this pair, as its VolumeAttachment says.
    fn uses(&self, pair: &Pair, proof: &Proof) -> bool {
        proof.claims.iter().any(|claim| {
            claim.node == self.request.node && claim.told.as_ref() == Some(&pair.names)
        })
    }

    fn is_sharer(&self) -> bool {
        let shares = &self.work.state.shares;
        shares.has(&self.work.id, &self.request.node)
    }
}
