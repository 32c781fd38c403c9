//! What the claims say about a publish that the register alone does not settle.

use crate::domain::claim::Claim;
use crate::domain::drift::{Contention, Reason, Sight};
use crate::domain::error::{Error, Kind};
use crate::domain::event::What;
use crate::domain::grant::{Pair, Register};
use crate::domain::names::NodeLabel;
use crate::domain::publish::Publish;
use crate::service::mend::{Outcome, Proof};
use crate::service::publish::Publishing;
use crate::service::registers::{After, View};

/// What asking for the claims came to.
pub(super) enum Consulted {
    /// Something was done, and this is what the register is now.
    Seen(Box<View>),
    /// Nothing had to be done: what was decided may be carried out.
    AsDecided,
    /// Something was done, and nobody knows what came of it.
    Unknown,
}

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
            Publish::Grant(_) => self.work.memory().told.is_some() || self.others_may_want_it(),
            Publish::HeldBy(_) => true,
            Publish::AsItStands(_) | Publish::Reopen(_) if self.label.is_shared() => {
                !self.is_sharer()
            }
            Publish::Reopen(_) | Publish::RevokeFirst(_) => own && !told,
            Publish::AsItStands(_) | Publish::Untouchable(_) => false,
        }
    }

    /// Asks for the claims and does what they say.
    pub(super) async fn consult(&self, decided: &Publish) -> Result<Consulted, Error> {
        let mut proof = self.work.proof().await?;
        match decided {
            Publish::HeldBy(pair) => self.contend(pair, &mut proof).await,
            Publish::AsItStands(pair) | Publish::Reopen(pair) if self.label.is_shared() => {
                self.join(pair, &mut proof).await
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
                self.seen(mended.view)
            }
        }
    }

    /// Another node holds the volume: it keeps it, unless it is not entitled to it any more.
    async fn contend(&self, pair: &Pair, proof: &mut Proof) -> Result<Consulted, Error> {
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
            Contention::Held => Err(self.held_by(pair)),
            Contention::Revoke(reason) => {
                self.clear(pair, reason, proof).await?;
                // The asking node may be using what the one in its way had replaced.
                let mended = self.work.mend(proof).await?;
                self.seen(mended.view)
            }
        }
    }

    /// Cuts a holder off that has no right to the volume any more.
    async fn clear(
        &self,
        pair: &Pair,
        reason: Reason,
        proof: &mut Proof,
    ) -> Result<Consulted, Error> {
        self.work.spend_departed(proof).await?;
        let register = Register::Granted(pair.clone());
        let after = self.work.take_away(&register, &pair.names, reason);
        match after.await? {
            After::View(view) => self.seen(Some(*view)),
            After::Gone => self.seen(None),
            After::Unknown(_) => Ok(Consulted::Unknown),
        }
    }

    fn seen(&self, view: Option<View>) -> Result<Consulted, Error> {
        let view = view.ok_or_else(|| self.work.not_found())?;
        Ok(Consulted::Seen(Box::new(view)))
    }

    /// One more node for a shared volume, or one that has it already and asks again.
    async fn join(&self, pair: &Pair, proof: &mut Proof) -> Result<Consulted, Error> {
        let told = proof
            .claims
            .iter()
            .any(|claim| claim.told.as_ref() == Some(&pair.names));
        if !self.uses(pair, proof) {
            let shares = &self.work.state.shares;
            let asking = &self.request.node;
            let others = proof.entitled().filter(|claim| &claim.node != asking);
            let (holders, pending): (Vec<_>, Vec<_>) =
                others.partition(|claim| shares.counts(&self.work.id, claim));
            // Of those that wait, some go first: each in the way of all others would keep all out.
            let own = proof.claims.iter().find(|claim| &claim.node == asking);
            let goes_first =
                |claim: &&Claim| own.is_none_or(|own| claim.attachment.name < own.attachment.name);
            let mut ahead = holders
                .iter()
                .copied()
                .chain(pending.into_iter().filter(goes_first));
            for holder in &holders {
                shares.join(&self.work.id, &holder.node);
            }
            match (holders.as_slice(), ahead.next(), ahead.next()) {
                // Every other holder is gone: cut off what they may still be writing, and begin anew.
                ([], ..) if told => return self.clear(pair, Reason::NodeGone, proof).await,
                (_, Some(first), Some(second)) => return Err(self.is_full(first, second)),
                ([source], ..) => self.work.happened(What::MigrationStarted {
                    volume: self.work.id.clone(),
                    from: source.node.to_string(),
                    to: asking.clone(),
                }),
                _ => {}
            }
        }
        if told {
            self.work.believe(pair.clone())?;
        }
        Ok(Consulted::AsDecided)
    }

    /// Two share it already.
    fn is_full(&self, first: &Claim, second: &Claim) -> Error {
        let holders = format!("{} and {}", first.node, second.node);
        let asking = &self.request.node;
        let context = format!(
            "volume {} is attached to {holders}; {asking} can have it when one of them has let go",
            self.work.id
        );
        self.work.happened(What::AttachmentConflict {
            volume: self.work.id.clone(),
            holder: holders,
            asking: asking.clone(),
        });
        Error::new(Kind::AttachedElsewhere, context)
    }

    /// Whether the asking node has been told this pair, as its VolumeAttachment says.
    fn uses(&self, pair: &Pair, proof: &Proof) -> bool {
        proof.claims.iter().any(|claim| {
            claim.node == self.request.node && claim.told.as_ref() == Some(&pair.names)
        })
    }

    /// Whether anybody else was seen to have a claim on it, or nothing was seen yet.
    fn others_may_want_it(&self) -> bool {
        let watched = self.work.state.cluster.as_ref();
        let watched = watched.and_then(|cluster| cluster.watched(&self.work.id));
        let asking = &self.request.node;
        watched.is_none_or(|seen| seen.claims.iter().any(|claim| &claim.node != asking))
    }

    fn is_sharer(&self) -> bool {
        let shares = &self.work.state.shares;
        shares.has(&self.work.id, &self.request.node)
    }
}
