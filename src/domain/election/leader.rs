//! A replica that holds the Lease: until when it leads, what it renews, when it has lost.

use std::sync::Arc;

use crate::domain::election::{
    Change, Failure, Hold, HolderId, Intent, LeaseView, Loss, Standing, Tenure, Timing, Version,
};
use crate::domain::leadership::{BootTime, Deadline, Epoch, Leadership};

/// A term, from the write that took the Lease to its end.
#[derive(Debug)]
pub(super) struct Holding {
    timing: Timing,
    /// Read by every operation under way. Cut while the Lease is offered.
    deadline: Arc<Deadline>,
    leadership: Arc<Leadership>,
    /// `sent` of the last write that succeeded. A renew deadline after it the term ends.
    renewed: BootTime,
    renew_at: BootTime,
    /// When the term began: only what was read of the RDS after that tells of every former term.
    began: BootTime,
    /// Since when this process leads without a break.
    leads_since: Option<BootTime>,
    /// The epoch that stands in the Lease.
    recorded: Epoch,
    phase: Phase,
    /// The Lease was emptied, or deleted and made anew by a follower, while we lead.
    reclaim: Option<Version>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The RDS has not been read in this term.
    Reading,
    /// The RDS knows a later epoch than the one on record; this one goes on record.
    Raising(Epoch),
    Leading,
    /// Fenced; the Lease carries the mark, or will.
    Offering,
    /// Fenced until the Lease stands without the mark, with this epoch.
    Withdrawing(Epoch),
}

// === impl Holding ===

impl Holding {
    /// Begins a term if the right that the answer gives has not already ended.
    pub(super) fn begin(
        epoch: Epoch,
        sent: BootTime,
        now: BootTime,
        timing: &Timing,
    ) -> Option<Self> {
        let held_until = sent.after(timing.renew_deadline());
        let deadline = Arc::new(Deadline::at(held_until));
        (now < held_until).then(|| Self {
            timing: *timing,
            leadership: Arc::new(Leadership::leased(epoch, Arc::clone(&deadline))),
            deadline,
            renewed: sent,
            renew_at: sent.after(timing.retry()),
            began: now,
            leads_since: None,
            recorded: epoch,
            phase: Phase::Reading,
            reclaim: None,
        })
    }

    pub(super) fn standing(&self) -> Standing {
        let leadership = || Arc::clone(&self.leadership);
        match self.phase {
            Phase::Reading | Phase::Raising(_) => Standing::Elected(leadership()),
            Phase::Leading => Standing::Leading(leadership()),
            Phase::Offering | Phase::Withdrawing(_) => Standing::Offering,
        }
    }

    pub(super) fn last_change(&self, me: &HolderId) -> Change {
        Change {
            holder: Some(me.clone()),
            epoch: self.recorded,
            at: self.renewed,
        }
    }

    pub(super) fn held_until(&self) -> BootTime {
        self.renewed.after(self.timing.renew_deadline())
    }

    /// What a successor in the same pod needs to know, while there is a term that others respect.
    pub(super) fn tenure(&self, me: &HolderId) -> Option<Tenure> {
        self.leads_since.map(|began| Tenure {
            holder: me.clone(),
            began,
            renewed: self.renewed.max(began),
            until: self.held_until(),
        })
    }

    /// No permit is handed out from here on.
    pub(super) fn fence(&self) {
        self.deadline.cut();
    }

    pub(super) fn renew_from(&mut self, at: BootTime) {
        self.renew_at = self.renew_at.min(at);
    }

    pub(super) fn intent(&self, now: BootTime) -> Intent {
        if now < self.renew_at {
            return Intent::Wait {
                until: self.renew_at.min(self.held_until()),
            };
        }
        let (epoch, offer) = match self.phase {
            Phase::Reading | Phase::Leading => (self.recorded, false),
            Phase::Raising(epoch) | Phase::Withdrawing(epoch) => (epoch, false),
            Phase::Offering => (self.recorded, true),
        };
        match &self.reclaim {
            // While our right lasts nobody else can have led since: all others wait for longer.
            Some(expecting) => Intent::TryAcquire {
                expecting: expecting.clone(),
                epoch,
            },
            None => Intent::Renew { epoch, offer },
        }
    }

    /// Fences first: when the mark is seen, nothing is served any more.
    pub(super) fn offer(&mut self, now: BootTime) {
        if self.phase != Phase::Offering {
            self.fence();
            self.leads_since = None;
            self.phase = Phase::Offering;
            self.renew_from(now);
        }
    }

    pub(super) fn rds_read(
        &mut self,
        highest: Epoch,
        sent: BootTime,
        now: BootTime,
    ) -> Result<(), Loss> {
        if sent < self.began {
            return Ok(());
        }
        let needed = if highest < self.recorded {
            self.recorded
        } else {
            highest.next()
        };
        match self.phase {
            Phase::Reading if needed == self.recorded => self.lead(now),
            Phase::Reading | Phase::Raising(_) => {
                self.phase = Phase::Raising(needed);
                self.renew_from(now);
            }
            Phase::Leading if highest > self.recorded => return Err(Loss::Superseded(highest)),
            Phase::Leading => {}
            Phase::Offering | Phase::Withdrawing(_) => {
                self.phase = Phase::Withdrawing(needed);
                self.renew_from(now);
            }
        }
        Ok(())
    }

    /// Takes in the answer to a renewal (or reclaim) sent at `sent`.
    pub(super) fn written(
        &mut self,
        me: &HolderId,
        sent: BootTime,
        result: Result<LeaseView, Failure>,
        now: BootTime,
        chance: u64,
    ) -> Result<(), Loss> {
        match result {
            Ok(view) => self.renewed(me, &view, sent, now, chance),
            Err(Failure::NotHeld(view)) => match view.hold.holder() {
                Some(holder) if holder != me => Err(Loss::Taken(holder.clone())),
                Some(_) | None => {
                    self.reclaim = Some(view.version);
                    self.renew_at = now;
                    Ok(())
                }
            },
            Err(Failure::Conflict | Failure::Withheld(_) | Failure::Call(_)) => {
                self.reclaim = None;
                self.renew_at = now
                    .after(self.timing.pause())
                    .after(self.timing.jitter(chance));
                Ok(())
            }
        }
    }

    fn renewed(
        &mut self,
        me: &HolderId,
        view: &LeaseView,
        sent: BootTime,
        now: BootTime,
        chance: u64,
    ) -> Result<(), Loss> {
        let offered = match &view.hold {
            Hold::Held(holder) if holder == me => false,
            Hold::Offered(holder) if holder == me => true,
            Hold::Held(other) | Hold::Offered(other) => return Err(Loss::Taken(other.clone())),
            Hold::Released | Hold::Nobody => return Err(Loss::Expired),
        };
        self.reclaim = None;
        self.renewed = self.renewed.max(sent);
        self.renew_at = sent
            .after(self.timing.retry())
            .after(self.timing.jitter(chance));
        self.advance(view.epoch, offered, now);
        let is_served = matches!(
            self.phase,
            Phase::Reading | Phase::Raising(_) | Phase::Leading
        );
        // The clock was asked before this answer was taken in, and by others since.
        if is_served && !self.deadline.extend(self.held_until()) {
            return Err(Loss::Expired);
        }
        Ok(())
    }

    /// What the Lease now says, against what it should say.
    fn advance(&mut self, recorded: Epoch, offered: bool, now: BootTime) {
        match self.phase {
            Phase::Raising(epoch) | Phase::Withdrawing(epoch) if recorded == epoch && !offered => {
                if epoch != self.recorded {
                    self.recorded = epoch;
                    let deadline = Arc::clone(&self.deadline);
                    self.leadership = Arc::new(Leadership::leased(epoch, deadline));
                }
                self.lead(now);
            }
            Phase::Offering if offered => {}
            // Written before we wanted it otherwise: write again at once.
            Phase::Raising(_) | Phase::Withdrawing(_) | Phase::Offering => self.renew_at = now,
            Phase::Reading | Phase::Leading => {}
        }
    }
    fn lead(&mut self, now: BootTime) {
        self.phase = Phase::Leading;
        self.leads_since.get_or_insert(now);
    }
}
