//! What one volume needs, as far as its register and its claims tell: the table that a leader goes
//! by when it takes over, when it reconciles, and when one node asks for what another one holds.
//!
//! A grant is only ever taken from a node that has no claim, or whose machine is gone; it is cut on
//! the RDS first, so being wrong about a machine costs it its disk, never the data. What it was told
//! never comes back after that: it may have writes queued that are older than the next holder's.

use crate::domain::claim::{Claim, Presence, Wish};
use crate::domain::grant::{FencingMode, Pair, Register};
use crate::domain::id::NodeId;
use crate::domain::names::{Names, NodeLabel};

/// What is known of one volume.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// What the device can enforce.
    pub mode: FencingMode,
    /// Its register, as just read.
    pub register: &'a Register,
    /// Every claim on it.
    pub claims: &'a [Claim],
    /// The pair that a node was last told in this term.
    pub answered: Option<&'a Pair>,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// It is as it should be, or whoever asked for it will ask again.
    Nothing,
    /// The register stands as its node was told: it counts as told from here on.
    Believe(Pair),
    /// The pair its node was told is there, but closed: cut and open it.
    Reopen(Pair),
    /// The pair its node was told is gone, and nobody else wants the volume: write it again.
    Remake(Claim, Names),
    /// The pair its node was told is gone and may not be written again, whatever happens next.
    Lost(Claim, Reason),
    /// These names must go.
    Revoke(Names, Reason),
    /// Several nodes have a right to it: nobody is let in before one of them has gone.
    Freeze(Vec<NodeId>),
}

impl Need {
    /// The word for traces.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Believe(_) => "believe",
            Self::Reopen(_) => "reopen",
            Self::Remake(..) => "remake",
            Self::Lost(..) => "lost",
            Self::Revoke(..) => "revoke",
            Self::Freeze(_) => "freeze",
        }
    }
}

/// Why something has to be done, or cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No VolumeAttachment asks for the grant.
    Orphan,
    /// No VolumeAttachment asks for the grant, and another node's waits for the volume.
    InTheWay,
    /// The Node object of the holder is gone.
    NodeGone,
    /// Somebody vouches that the holder's machine is off, and its attachment is being deleted.
    OutOfService,
    /// The node was told another pair, and goes on using that one.
    Superseded,
    /// Nobody was told the pair, and another node uses the volume under its own.
    Usurped,
    /// Half-written names, which nobody was told.
    Stray,
    /// In this fencing mode a pair is one name, and a late line could write it over another grant.
    OneName,
    /// A line that brings the pair back was sent before, and two of them together are not safe; or it
    /// was given up before, and another node may have written since.
    SentBefore,
    /// Another node has a claim too.
    OtherClaims,
}

/// Whether a node that asks may have what another one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contention {
    /// No: the holder is entitled to it.
    Held,
    /// The holder is not: cut it off, then grant.
    Revoke(Reason),
}

// === deciding ===

impl Sight<'_> {
    /// What the volume needs.
    pub fn need(&self, presence: impl Fn(&NodeId) -> Presence) -> Need {
        match self.register {
            Register::Free(_) => self.missing(presence),
            Register::Granted(pair) => self.standing(pair, true, presence),
            Register::Prepared(pair) => self.standing(pair, false, presence),
            Register::Stray(names) => Need::Revoke(names.clone(), Reason::Stray),
            // An unknown holder: calls say what to do by hand.
            Register::Foreign { .. } => Need::Nothing,
        }
    }

    /// Whether `asking` may have a volume whose register shows `pair`, which is not its own.
    pub fn contention(
        &self,
        pair: &Pair,
        asking: &NodeId,
        presence: impl Fn(&NodeId) -> Presence,
    ) -> Contention {
        if !self.is_told(pair) && self.is_usurped(pair, &presence) {
            return Contention::Revoke(Reason::Usurped);
        }
        let others = self.holders(pair).filter(|claim| &claim.node != asking);
        let mut verdict = Contention::Revoke(Reason::InTheWay);
        for claim in others {
            match departed(claim, presence(&claim.node)) {
                Some(reason) => verdict = Contention::Revoke(reason),
                None => return Contention::Held,
            }
        }
        verdict
    }

    /// The claims that a pair stands for: those of its node, or all if the pair is shared.
    pub fn holders(&self, pair: &Pair) -> impl Iterator<Item = &Claim> {
        let label = pair.node.clone();
        self.claims
            .iter()
            .filter(move |claim| label.is_shared() || NodeLabel::of(&claim.node) == label)
    }

    /// A register with a pair in it.
    fn standing(&self, pair: &Pair, open: bool, presence: impl Fn(&NodeId) -> Presence) -> Need {
        let revoke = |reason| Need::Revoke(pair.names.clone(), reason);
        let mut departure = None;
        let mut entitled = Vec::new();
        for claim in self.holders(pair) {
            match departed(claim, presence(&claim.node)) {
                Some(reason) => departure = Some(reason),
                None => entitled.push(claim),
            }
        }
        if entitled.is_empty() {
            let waits = self.claims.iter().any(|claim| claim.wish == Wish::Attach);
            let unclaimed = if waits {
                Reason::InTheWay
            } else {
                Reason::Orphan
            };
            return revoke(departure.unwrap_or(unclaimed));
        }
        let told = self.is_told(pair);
        if !told && self.is_usurped(pair, &presence) {
            return revoke(Reason::Usurped);
        }
        if let Some(claim) = self.outdated(pair) {
            return Need::Lost(claim.clone(), Reason::OtherClaims);
        }
        let wanted = entitled.iter().any(|claim| claim.wish == Wish::Attach);
        match (told, open) {
            (true, true) => Need::Believe(pair.clone()),
            (true, false) if wanted => Need::Reopen(pair.clone()),
            // Half-way through a revoke, which Unpublish will repeat.
            (true, false) => Need::Nothing,
            (false, _) => match entitled.into_iter().find(|claim| claim.is_in_use()) {
                Some(claim) if self.remake(claim).is_ok() => revoke(Reason::Superseded),
                // It was granted just now, and its node will ask again for what it missed.
                Some(_) | None => Need::Nothing,
            },
        }
    }

    /// Whether some node was told this pair.
    fn is_told(&self, pair: &Pair) -> bool {
        let in_claim = |claim: &Claim| claim.told.as_ref() == Some(&pair.names);
        self.answered == Some(pair) || self.holders(pair).any(in_claim)
    }

    /// Whether another node was told another pair and goes on using that: then this one was written by
    /// a line that came late. Re-opened, it would let its node write, and when the other one's pair
    /// comes back, what that node had queued before would land over it.
    fn is_usurped(&self, pair: &Pair, presence: impl Fn(&NodeId) -> Presence) -> bool {
        self.claims.iter().any(|claim| {
            let holds = pair.node.is_shared() || NodeLabel::of(&claim.node) == pair.node;
            !holds
                && claim.is_in_use()
                && !claim.is_spent()
                && departed(claim, presence(&claim.node)).is_none()
        })
    }

    /// A claim whose node goes on using names that another node's pair has taken the place of.
    fn outdated(&self, pair: &Pair) -> Option<&Claim> {
        self.claims.iter().find(|claim| {
            let is_other = !pair.node.is_shared() && NodeLabel::of(&claim.node) != pair.node;
            is_other && claim.is_in_use() && !claim.is_spent()
        })
    }

    /// A register with nobody in it.
    fn missing(&self, presence: impl Fn(&NodeId) -> Presence) -> Need {
        let mut deprived = Vec::new();
        for claim in self.claims.iter().filter(|claim| claim.is_in_use()) {
            match departed(claim, presence(&claim.node)) {
                None => deprived.push(claim),
                // Others may have the volume from now on, and the node may come back one day.
                Some(reason) if !claim.is_spent() => return Need::Lost(claim.clone(), reason),
                Some(_) => {}
            }
        }
        let frozen = |claims: &[&Claim]| {
            Need::Freeze(claims.iter().map(|claim| claim.node.clone()).collect())
        };
        match deprived.as_slice() {
            [] => Need::Nothing,
            [claim, others @ ..] if others.iter().all(|other| claim.shares_with(other)) => {
                match self.remake(claim) {
                    Ok(names) => Need::Remake((*claim).clone(), names),
                    // The others are on their way out; it comes back when they have gone.
                    Err(Reason::OtherClaims) if self.is_last_to_stay(claim) => {
                        frozen(&self.claims.iter().collect::<Vec<_>>())
                    }
                    Err(reason) => Need::Lost((*claim).clone(), reason),
                }
            }
            several => frozen(several),
        }
    }

    /// Whether no other node with a right to the volume wants to keep it, although some have not let
    /// go of it.
    fn is_last_to_stay(&self, claim: &Claim) -> bool {
        let others = self.claims.iter().filter(|other| other.node != claim.node);
        let mut others = others.filter(|other| stands(other));
        others.all(|other| other.wish == Wish::Detach)
    }

    /// The names to write again for a claim.
    ///
    /// # Errors
    /// Why they may not be: the one line that writes a pair that its node knows is sent at most once
    /// for a pair, and only if nobody else can be meant to have the volume.
    fn remake(&self, claim: &Claim) -> Result<Names, Reason> {
        let names = claim.told.clone().ok_or(Reason::Superseded)?;
        if self.mode != FencingMode::Pair {
            return Err(Reason::OneName);
        }
        let is_spent = |other: &Claim| other.told == claim.told && other.is_spent();
        if self.claims.iter().any(is_spent) {
            return Err(Reason::SentBefore);
        }
        let may_have_it_too = |other: &Claim| {
            other.node == claim.node || (claim.shared && other.shared) || !stands(other)
        };
        if !self.claims.iter().all(may_have_it_too) {
            return Err(Reason::OtherClaims);
        }
        Ok(names)
    }
}

/// Whether a claim stands against one that is in use: not if it was only made, and never told anything.
fn stands(claim: &Claim) -> bool {
    claim.attached || claim.told.is_some() || claim.wish == Wish::Detach
}

/// Why the node of a claim may be cut off although the claim is still there.
pub fn departed(claim: &Claim, presence: Presence) -> Option<Reason> {
    match (presence, claim.wish) {
        (Presence::Gone, _) => Some(Reason::NodeGone),
        // The taint lets Kubernetes delete the attachment at once, and that is what counts here.
        (Presence::OutOfService, Wish::Detach) => Some(Reason::OutOfService),
        (Presence::OutOfService, Wish::Attach) | (Presence::Present, _) => None,
    }
}

// === impl Reason ===

impl Reason {
    /// The words for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "no VolumeAttachment asks for it",
            Self::InTheWay => "no VolumeAttachment asks for it, and another node waits",
            Self::NodeGone => "the Node object is gone",
            Self::OutOfService => {
                "the node is tainted out-of-service and its attachment is being deleted"
            }
            Self::Superseded => "the node was told other names",
            Self::Usurped => "nobody was told these names, and another node uses the volume",
            Self::Stray => "the names are half written and nobody was told them",
            Self::OneName => "this RDS cannot change both names, so a late command could undo it",
            Self::SentBefore => {
                "it was brought back or given up once before, and after that it is not safe"
            }
            Self::OtherClaims => "another node has a VolumeAttachment too",
        }
    }

    /// Whether it is so obvious that nothing has to be waited for. Anything else may be the middle of
    /// something that is still under way.
    pub const fn is_plain(self) -> bool {
        match self {
            Self::InTheWay
            | Self::OutOfService
            | Self::Usurped
            | Self::Stray
            | Self::Superseded => true,
            Self::Orphan
            | Self::NodeGone
            | Self::OneName
            | Self::SentBefore
            | Self::OtherClaims => false,
        }
    }
}

#[cfg(test)]
mod tests;
