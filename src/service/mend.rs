//! Brings one volume's register in line with the claims on it, in as few steps as it takes.

use std::collections::HashMap;

use tracing::{error, warn};

use crate::domain::claim::{Claim, Presence};
use crate::domain::drift::{self, Need, Reason, Sight};
use crate::domain::error::{Error, Kind};
use crate::domain::event::What;
use crate::domain::grant::{Pair, Register};
use crate::domain::id::{NodeId, VolumeId};
use crate::domain::names::{Names, NodeLabel};
use crate::metrics::volumes::Repair;
use crate::service::State;
use crate::service::ledger::Told;
use crate::service::registers::{After, View, Work};

/// Steps that one repair may take: revoke, re-make, believe, and each once more after a lost reply.
const MAX_STEPS: usize = 6;

/// What came of a look at one volume, and how it was seen last.
#[derive(Debug)]
pub(super) struct Mended {
    pub(super) outcome: Outcome,
    /// `None` if there is no such entry.
    pub(super) view: Option<View>,
}

/// What came of a look at one volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was as it should be.
    AsItWas,
    /// Something was repaired.
    Repaired,
    /// It cannot be repaired; its node has to attach it anew.
    Lost,
}

/// Proof of who has a claim, good for one volume.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof {
    /// Every claim on it.
    pub(super) claims: Vec<Claim>,
    /// The machines behind them; one that is not in here is present.
    pub(super) presence: HashMap<NodeId, Presence>,
    /// The register may be an older state of the RDS: whatever stands there that was not told is
    /// revoked, even if its node has a claim.
    pub(super) is_stale: bool,
    /// What may be the middle of something still under way has looked so for the grace period.
    pub(super) is_due: bool,
}

impl Proof {
    /// Who has a claim on a volume now; nobody where there is no Kubernetes.
    pub(super) async fn about(state: &State, id: &VolumeId) -> Result<Self, Error> {
        let Some(cluster) = &state.cluster else {
            return Ok(Self::default());
        };
        let claims = cluster.claims_on(id).await?;
        let mut presence = HashMap::new();
        for claim in &claims {
            if !presence.contains_key(&claim.node) {
                let there = cluster.presence(&claim.node).await?;
                presence.insert(claim.node.clone(), there);
            }
        }
        Ok(Self {
            claims,
            presence,
            ..Self::default()
        })
    }

    /// The machine behind a node id.
    pub(super) fn presence(&self, node: &NodeId) -> Presence {
        let known = self.presence.get(node).copied();
        known.unwrap_or(Presence::Present)
    }

    /// The claims whose nodes count as using the volume.
    pub(super) fn entitled(&self) -> impl Iterator<Item = &Claim> {
        self.claims
            .iter()
            .filter(|claim| drift::departed(claim, self.presence(&claim.node)).is_none())
    }
}

impl Work {
    /// Asks who has a claim on the volume, and what became of their machines.
    ///
    /// # Errors
    /// Those of the Kubernetes API: whoever cannot know does nothing.
    pub(super) async fn proof(&self) -> Result<Proof, Error> {
        let proof = Proof::about(&self.state, &self.id).await?;
        self.term.check()?;
        Ok(proof)
    }

    /// Does what the volume needs until it needs nothing more.
    ///
    /// # Errors
    /// If it cannot be brought in line; the volume must not be served then.
    pub(super) async fn mend(&self, proof: &Proof) -> Result<Mended, Error> {
        let mut outcome = Outcome::AsItWas;
        let mended = |outcome, view| Ok(Mended { outcome, view });
        let mut view: Option<View> = None;
        let mut proof = proof.clone();
        for _ in 0..MAX_STEPS {
            let seen = match view.take() {
                Some(view) => view,
                None => match self.read_ours().await? {
                    Some(view) => view,
                    None => return mended(outcome, None),
                },
            };
            let need = self.need(&seen.register, &proof);
            self.decided("mend", &seen.register, false, need.as_str());
            let after = match need {
                Need::Nothing => return mended(outcome, Some(seen)),
                Need::Believe(pair) => {
                    self.believe(pair)?;
                    return mended(outcome, Some(seen));
                }
                Need::Freeze(nodes) => return Err(self.frozen(&nodes)),
                Need::Lost(claim, reason) => {
                    self.give_up(&mut proof, &claim, reason).await?;
                    if let Register::Free(_) = seen.register {
                        return mended(Outcome::Lost, Some(seen));
                    }
                    view = Some(seen);
                    continue;
                }
                Need::Revoke(names, reason) => {
                    self.spend_departed(&mut proof).await?;
                    self.take_away(&seen.register, &names, reason).await?
                }
                Need::Reopen(pair) => {
                    warn!(volume.id = %self.id, node = %pair.node, "re-opening a grant that was closed on the RDS");
                    self.note_repair(&pair.node, Repair::Reopened);
                    self.reopen(&pair).await?
                }
                Need::Remake(claim, names) => {
                    let Register::Free(free) = &seen.register else {
                        return mended(outcome, Some(seen));
                    };
                    let sent = self.bring_back(&mut proof, &claim, names, free).await?;
                    let Some(after) = sent else {
                        self.tell_lost(&claim, Reason::SentBefore);
                        return mended(Outcome::Lost, Some(seen));
                    };
                    after
                }
            };
            outcome = Outcome::Repaired;
            match after {
                After::View(after) => view = Some(*after),
                After::Gone => return mended(outcome, None),
                After::Unknown(error) => {
                    warn!(volume.id = %self.id, ?error, "reading again after a lost reply");
                }
            }
        }
        Err(Error::new(
            Kind::Busy,
            format!("the names of {} kept changing", self.id),
        ))
    }

    fn need(&self, register: &Register, proof: &Proof) -> Need {
        let answered = self.memory().told.map(|told| told.pair);
        let sight = Sight {
            mode: self.term.scheme.mode,
            register,
            claims: &proof.claims,
            answered: answered.as_ref(),
        };
        let need = sight.need(|node| proof.presence(node));
        match (&need, register) {
            (Need::Nothing, Register::Granted(pair) | Register::Prepared(pair))
                if proof.is_stale =>
            {
                Need::Revoke(pair.names.clone(), Reason::Superseded)
            }
            (Need::Revoke(_, reason), _)
                if !(reason.is_plain() || proof.is_due || proof.is_stale) =>
            {
                Need::Nothing
            }
            _ => need,
        }
    }

    /// Sends the one line of this pair's life that brings it back. It is put on record first, here
    /// and on the VolumeAttachments, where the next leader will find it. `None` if it was sent before.
    async fn bring_back(
        &self,
        proof: &mut Proof,
        claim: &Claim,
        names: Names,
        free: &Names,
    ) -> Result<Option<After>, Error> {
        let Some(pair) = self.told_pair(claim, &names) else {
            return Ok(None);
        };
        self.believe(pair.clone())?;
        if self.memory().told.is_some_and(|told| told.remade) {
            return Ok(None);
        }
        let uses_it = |other: &Claim| other.is_in_use() && other.told.as_ref() == Some(&names);
        self.spend(proof, uses_it).await?;
        if !self.state.ledger.begin_remake(&self.id, &pair) {
            return Ok(None);
        }
        warn!(volume.id = %self.id, node = %pair.node, "re-making a grant that the RDS lost");
        self.note_repair(&pair.node, Repair::Remade);
        self.remake(free, &pair).await.map(Some)
    }

    /// The pair that a claim's node was told, if it is one that this driver wrote for that node.
    fn told_pair(&self, claim: &Claim, names: &Names) -> Option<Pair> {
        let node = NodeLabel::of(&claim.node);
        match self.term.scheme.read(&self.id, true, names) {
            Register::Granted(pair) if pair.node == node || pair.node.is_shared() => Some(pair),
            _ => None,
        }
    }

    /// Takes a pair for told: it stands in the VolumeAttachment of its node.
    pub(super) fn believe(&self, pair: Pair) -> Result<(), Error> {
        if self.memory().told.is_some_and(|told| told.pair == pair) {
            return Ok(());
        }
        self.tell(Told {
            pair,
            from: self.state.clock.boot(),
            access: None,
            remade: false,
        })
    }

    pub(super) fn note_repair(&self, node: &NodeLabel, how: Repair) {
        self.state.counters.repaired(how);
        self.happened(What::GrantRepaired {
            volume: self.id.clone(),
            node: node.to_string(),
        });
    }

    /// Revokes what nobody has a right to, and tells people once it reads back so.
    pub(super) async fn take_away(
        &self,
        register: &Register,
        names: &Names,
        reason: Reason,
    ) -> Result<After, Error> {
        let node = register.holder().map(ToString::to_string);
        let node = node.unwrap_or_else(|| "nobody".to_owned());
        let why = reason.as_str();
        warn!(volume.id = %self.id, node, why, "revoking a grant");
        self.state.counters.repaired(Repair::Revoked);
        let after = self.revoke(names).await?;
        let is_stale = matches!(
            reason,
            Reason::NodeGone | Reason::OutOfService | Reason::Orphan | Reason::InTheWay
        );
        if is_stale
            && matches!(&after, After::View(view) if matches!(view.register, Register::Free(_)))
        {
            self.happened(What::StaleAttachmentCleared {
                volume: self.id.clone(),
                node,
                why,
            });
        }
        Ok(after)
    }

    /// Gives up for good what a node was told.
    async fn give_up(&self, proof: &mut Proof, claim: &Claim, reason: Reason) -> Result<(), Error> {
        let given_up = |other: &Claim| other.attachment == claim.attachment;
        self.spend(proof, given_up).await?;
        self.tell_lost(claim, reason);
        Ok(())
    }

    /// A node that is cut off although it has a claim may come back one day, and what it was told must
    /// not come back with it. That is put on record before it is cut off.
    pub(super) async fn spend_departed(&self, proof: &mut Proof) -> Result<(), Error> {
        let presence = proof.presence.clone();
        let departed = |claim: &Claim| {
            let there = presence.get(&claim.node).copied();
            claim.is_in_use()
                && drift::departed(claim, there.unwrap_or(Presence::Present)).is_some()
        };
        self.spend(proof, departed).await
    }

    /// Puts on record that what the nodes of these claims were told has had its chance to come back.
    async fn spend(&self, proof: &mut Proof, which: impl Fn(&Claim) -> bool) -> Result<(), Error> {
        let Some(cluster) = &self.state.cluster else {
            return Ok(());
        };
        for claim in proof.claims.iter_mut().filter(|claim| which(claim)) {
            let told = claim.told.as_ref();
            let subsystem = told.and_then(|names| names.subsystem.clone());
            let Some(subsystem) = subsystem.filter(|_| !claim.is_spent()) else {
                continue;
            };
            if !cluster.record_remake(claim, &subsystem).await? {
                let name = &claim.attachment.name;
                let context = format!("VolumeAttachment {name} has changed meanwhile; retry");
                return Err(Error::new(Kind::Busy, context));
            }
            claim.remade = Some(subsystem);
        }
        Ok(())
    }

    fn tell_lost(&self, claim: &Claim, reason: Reason) {
        let why = reason.as_str();
        error!(
            volume.id = %self.id,
            node.id = %claim.node,
            why,
            "a grant that the RDS lost cannot be brought back safely; the node has no access until the volume is detached and attached again"
        );
        let told = self.memory().told;
        if told.is_some_and(|told| Some(&told.pair.names) == claim.told.as_ref()) {
            self.state.ledger.untell(&self.id);
        }
        self.state.counters.repaired(Repair::Lost);
        self.happened(What::GrantLost {
            volume: self.id.clone(),
            node: claim.node.to_string(),
            why,
        });
    }

    /// Tells people, if there is anywhere to tell them.
    pub(super) fn happened(&self, what: What) {
        self.state.tell(self.term.epoch(), what);
    }

    fn frozen(&self, nodes: &[NodeId]) -> Error {
        let nodes: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
        Error::new(
            Kind::Unavailable,
            format!(
                "volume {} has VolumeAttachments of several nodes ({}) that say it is attached, and the RDS does not say who holds it; it is served again once all but one of them are deleted and gone",
                self.id,
                nodes.join(", ")
            ),
        )
    }
}
