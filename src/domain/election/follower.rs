//! A replica that does not hold the Lease: what it has seen, for how long, and when it may act.

use std::time::Duration;

use crate::domain::election::{
    Change, Failure, Hold, HolderId, Intent, LeaseView, Predecessor, Standing, Timing,
};
use crate::domain::leadership::{BootTime, Epoch};

/// What a follower knows.
#[derive(Debug, Default)]
pub(super) struct Watching {
    sighting: Option<Sighting>,
    /// When to read the Lease again.
    look_at: Option<BootTime>,
    /// Nothing is written before: a refusal is not answered by the next try at once.
    quiet_until: Option<BootTime>,
    /// A write that would make us the holder was sent, and no answer told what became of it.
    in_doubt: bool,
}

/// One state of the Lease.
#[derive(Debug)]
struct Sighting {
    view: Option<LeaseView>,
    /// When our own boot clock first saw it. Taken after the answer had come, so it lies after the
    /// moment at which the holder sent what we saw.
    since: BootTime,
    /// Our own delay at the end of the wait.
    jitter: Duration,
}

/// On what else, besides the Lease, a follower decides.
#[derive(Debug)]
pub(super) struct Grounds<'a> {
    /// We have just reached the RDS ourselves.
    pub(super) rds_is_fresh: bool,
    /// The highest epoch in any name on it, as far as we have read it.
    pub(super) highest_on_the_rds: Epoch,
    /// Whose Lease is ours to take at once.
    pub(super) predecessor: Option<&'a Predecessor>,
}

// === impl Watching ===

impl Watching {
    pub(super) fn standing(&self, me: &HolderId) -> Standing {
        let hold = self.view().map(|view| &view.hold);
        Standing::Following {
            leader: hold
                .and_then(Hold::holder)
                .filter(|&holder| holder != me)
                .cloned(),
            offered: matches!(hold, Some(Hold::Offered(_))),
        }
    }

    pub(super) fn last_change(&self) -> Option<Change> {
        let (view, since) = self.sighted()?;
        Some(Change {
            holder: view.hold.holder().cloned(),
            epoch: view.epoch,
            at: since,
        })
    }

    /// The Lease as it was last seen, and since when it has looked so.
    pub(super) fn sighted(&self) -> Option<(&LeaseView, BootTime)> {
        let sighting = self.sighting.as_ref()?;
        Some((sighting.view.as_ref()?, sighting.since))
    }

    /// Takes in a state of the Lease. The same one again does not restart the wait.
    pub(super) fn see(
        &mut self,
        view: Option<LeaseView>,
        timing: &Timing,
        now: BootTime,
        chance: u64,
    ) {
        let known = match (&self.sighting, &view) {
            (Some(sighting), Some(view)) => sighting
                .view
                .as_ref()
                .is_some_and(|seen| seen.stands_still(view)),
            (Some(sighting), None) => sighting.view.is_none(),
            (None, _) => false,
        };
        if !known {
            self.in_doubt = false;
            self.sighting = Some(Sighting {
                view,
                since: now,
                jitter: timing.jitter(chance),
            });
        }
    }

    pub(super) fn look_again(&mut self, at: BootTime) {
        self.look_at = Some(at);
    }

    /// A call failed. What was seen still counts: whatever is written next depends on its version.
    pub(super) fn failed(&mut self, timing: &Timing, now: BootTime, chance: u64) {
        let pause = now.after(timing.pause()).after(timing.jitter(chance));
        self.quiet_until = Some(pause);
        self.look_at = Some(pause);
    }

    /// A write that would make us the holder failed: it may yet arrive, for as long as the Lease has
    /// the version that it expects.
    pub(super) fn doubt(&mut self, failure: &Failure) {
        self.in_doubt = matches!(failure, Failure::Call(_));
    }

    /// Back from a candidacy that came to nothing.
    pub(super) fn again(mut self, view: LeaseView, timing: &Timing, now: BootTime) -> Self {
        self.see(Some(view), timing, now, 0);
        self
    }

    /// Whether the Lease may name us.
    pub(super) fn may_hold(&self, me: &HolderId) -> bool {
        self.in_doubt
            || self
                .view()
                .is_some_and(|view| view.hold.holder() == Some(me))
    }

    pub(super) fn intent(
        &mut self,
        me: &HolderId,
        timing: &Timing,
        now: BootTime,
        grounds: &Grounds<'_>,
    ) -> Intent {
        let look_at = self.look_at.unwrap_or(now);
        let quiet_until = self.quiet_until.unwrap_or(now);
        // Looking comes first: after a refused write, what was seen is out of date.
        if now >= look_at {
            return Intent::Get;
        }
        let Some(sighting) = self.sighting.as_ref().filter(|_| now >= quiet_until) else {
            return Intent::Wait { until: look_at };
        };
        let Some(view) = &sighting.view else {
            // Two replicas may try: the second is told that there is one now.
            self.look_at = Some(now);
            self.quiet_until = Some(now.after(timing.pause()));
            return Intent::Create;
        };
        let (expecting, epoch) = (
            view.version.clone(),
            view.next_epoch(grounds.highest_on_the_rds),
        );
        let free_at = match &view.hold {
            // Not if it is offered: what kept the predecessor from its RDS may well keep us from it.
            Hold::Held(holder)
                if grounds
                    .predecessor
                    .is_some_and(|dead| dead.vouches_for(holder, now)) =>
            {
                return Intent::Succeed { expecting, epoch };
            }
            Hold::Released => now,
            // Our own write, whose answer was lost. We have not led, so we take it anew.
            Hold::Held(holder) | Hold::Offered(holder) if holder == me => now,
            Hold::Offered(_) if grounds.rds_is_fresh => now,
            Hold::Held(_) | Hold::Offered(_) | Hold::Nobody => sighting
                .since
                .after(timing.stand_still(view))
                .after(sighting.jitter),
        };
        if now >= free_at {
            return Intent::TryAcquire { expecting, epoch };
        }
        Intent::Wait {
            until: free_at.min(look_at),
        }
    }

    fn view(&self) -> Option<&LeaseView> {
        self.sighting.as_ref()?.view.as_ref()
    }
}
