//! A replica that does not hold the Lease: what it has seen, for how long, and when it may act.

use std::time::Duration;

use crate::domain::election::{Failure, Hold, HolderId, Intent, LeaseView, Standing, Timing};
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
        may_take_offer: bool,
        on_the_rds: Epoch,
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
        let free_at = match &view.hold {
            Hold::Released => now,
            // Our own write, whose answer was lost. We have not led, so we take it anew.
            Hold::Held(holder) | Hold::Offered(holder) if holder == me => now,
            Hold::Offered(_) if may_take_offer => now,
            Hold::Held(_) | Hold::Offered(_) | Hold::Nobody => sighting
                .since
                .after(timing.stand_still(view))
                .after(sighting.jitter),
        };
        if now >= free_at {
            return Intent::TryAcquire {
                expecting: view.version.clone(),
                epoch: view.next_epoch(on_the_rds),
            };
        }
        Intent::Wait {
            until: free_at.min(look_at),
        }
    }

    fn view(&self) -> Option<&LeaseView> {
        self.sighting.as_ref()?.view.as_ref()
    }
}
