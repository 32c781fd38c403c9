//! Who leads: a state machine that is told what was seen and when, and answers what to do next.
//!
//! Why there are never two leaders at once: a leader's right ends `renew_deadline` after it *sent*
//! the last renewal that succeeded. Another takes the Lease only after its own boot clock has seen
//! one state of it stand still for the longer `lease`, and only by a write that fails if that state
//! has changed. What it saw was written after the old leader sent it, so the old right has ended
//! first, if only both clocks run at about the same rate. No machine's time of day is ever read.
//! Two short cuts, release and offer, are marks that a leader writes after it has fenced itself. The
//! third is for the successor of a crashed process; `predecessor` says why it is sound.

mod follower;
mod leader;
mod predecessor;
mod standing;
mod timing;
mod view;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::domain::leadership::{BootTime, Epoch};

use follower::{Grounds, Watching};
use leader::Holding;
pub use predecessor::{BootId, NoShortCut, PodRecord, Predecessor, ShortCutRules, Tenure};
pub use standing::{End, Loss, Standing, Vacancy};
pub use timing::Timing;
pub use view::{Failure, Hold, HolderId, LeaseView, Version};

/// How old a reading of the RDS may be for its reader to take an offer: half of the ten seconds
/// after which a leader without an RDS makes one, so the reader has reached what the leader cannot.
const RDS_FRESH: Duration = Duration::from_secs(5);

/// One candidate, for the life of its process: once leadership is lost it does not stand again.
#[derive(Debug)]
pub struct Election {
    me: HolderId,
    timing: Timing,
    rds: Option<Reading>,
    /// Until the short cut is used, once.
    predecessor: Option<Predecessor>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Somebody else leads, or nobody.
    Follower(Watching),
    /// A write is on its way that makes us the holder.
    Candidate { watching: Watching, epoch: Epoch },
    /// The Lease is ours.
    Leader(Holding),
    /// We have stopped; the Lease may still name us.
    Leaving { until: BootTime, retry_at: BootTime },
    /// Nothing more to do.
    Ended(End),
}

/// What the Lease says, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who holds it.
    pub holder: Option<HolderId>,
    /// The epoch on record.
    pub epoch: Epoch,
    /// When it was seen to change, by our own boot clock.
    pub at: BootTime,
}

/// What reading the RDS told.
#[derive(Debug, Clone, Copy)]
struct Reading {
    highest: Epoch,
    sent: BootTime,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The answer to [`Intent::Get`] or [`Intent::Create`]: the Lease, if there is one.
    Seen(Result<Option<LeaseView>, Failure>),
    /// The watch showed the Lease, possibly late.
    Watched(Option<LeaseView>),
    /// The answer to [`Intent::TryAcquire`], [`Intent::Succeed`] or [`Intent::Renew`].
    Written {
        /// When the call began, before anything was sent.
        sent: BootTime,
        /// The Lease as it was written.
        result: Result<LeaseView, Failure>,
    },
    /// The answer to [`Intent::Release`].
    Released(Result<(), Failure>),
    /// The whole RDS was read.
    RdsRead {
        /// The highest epoch in any name on it.
        highest: Epoch,
        /// When the reading began.
        sent: BootTime,
    },
    /// The RDS has been out of reach for so long that another replica should try.
    RdsLost,
    /// The process is to end; no operation is under way any more.
    Stop,
    /// Time has passed.
    Tick,
}

/// What to do next. One call at a time: its answer is told before the next intent is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Read the Lease.
    Get,
    /// Repair: create the absent Lease, held by nobody. Whoever then takes it does so by the
    /// version that stood still; of an absent Lease there is none to compare.
    Create,
    /// Become its holder if it still has this version, and put the epoch on record.
    TryAcquire {
        /// The version that must not have changed.
        expecting: Version,
        /// The term to be.
        epoch: Epoch,
    },
    /// As `TryAcquire`, of the Lease of our dead predecessor. That a short cut is used goes on the
    /// pod's record first; if it cannot, nothing is sent.
    Succeed {
        /// The version that must not have changed.
        expecting: Version,
        /// The term to be.
        epoch: Epoch,
    },
    /// Renew it if it is ours; create it as ours if it is gone.
    Renew {
        /// The epoch to have on record.
        epoch: Epoch,
        /// Whether to mark it as offered.
        offer: bool,
    },
    /// Give it up if it is ours, marked as released.
    Release,
    /// Nothing until then, or until something happens.
    Wait {
        /// When to ask again.
        until: BootTime,
    },
    /// It is over.
    End(End),
}

// === impl Election ===

impl Election {
    /// A candidate that has seen nothing yet.
    pub fn new(me: HolderId, timing: Timing) -> Self {
        Self {
            me,
            timing,
            rds: None,
            predecessor: None,
            state: State::Follower(Watching::default()),
        }
    }

    /// The same candidate, which may take the Lease of this dead process at once.
    #[must_use]
    pub fn with_predecessor(mut self, predecessor: Option<Predecessor>) -> Self {
        self.predecessor = predecessor;
        self
    }

    /// What this replica is.
    pub fn standing(&self) -> Standing {
        match &self.state {
            State::Follower(watching) | State::Candidate { watching, .. } => {
                watching.standing(&self.me)
            }
            State::Leader(holding) => holding.standing(),
            State::Leaving { .. } => Standing::Ended(End::Stopped),
            State::Ended(end) => Standing::Ended(end.clone()),
        }
    }

    /// The Lease as it was last seen to change: by us or, while we lead, by our own renewal.
    pub fn last_change(&self) -> Option<Change> {
        match &self.state {
            State::Follower(watching) | State::Candidate { watching, .. } => watching.last_change(),
            State::Leader(holding) => Some(holding.last_change(&self.me)),
            State::Leaving { .. } | State::Ended(_) => None,
        }
    }

    /// When to stop waiting for the answer of a call: leadership ends then, whatever the answer.
    pub fn deadline(&self) -> Option<BootTime> {
        match &self.state {
            State::Leader(holding) => Some(holding.held_until()),
            State::Follower(_)
            | State::Candidate { .. }
            | State::Leaving { .. }
            | State::Ended(_) => None,
        }
    }

    /// What to put on the pod's record before the next intent is carried out.
    pub fn tenure(&self) -> Option<Tenure> {
        match &self.state {
            State::Leader(holding) => holding.tenure(&self.me),
            State::Follower(_)
            | State::Candidate { .. }
            | State::Leaving { .. }
            | State::Ended(_) => None,
        }
    }

    /// Takes in what happened at `now`; `chance` is 64 random bits.
    pub fn on(&mut self, event: Event, now: BootTime, chance: u64) {
        self.expire(now);
        match event {
            Event::Tick => {}
            Event::Stop => self.stop(now),
            Event::RdsRead { highest, sent } => self.rds_read(highest, sent, now),
            Event::RdsLost => {
                if let State::Leader(holding) = &mut self.state {
                    holding.offer(now);
                }
            }
            Event::Watched(view) => self.watched(view, now, chance),
            Event::Seen(result) => self.seen(result, now, chance),
            Event::Written { sent, result } => self.written(sent, result, now, chance),
            Event::Released(result) => self.released(&result, now),
        }
    }

    /// What to do at `now`.
    pub fn intent(&mut self, now: BootTime) -> Intent {
        self.expire(now);
        match &mut self.state {
            State::Follower(watching) => {
                let rds = self.rds.as_ref();
                let grounds = Grounds {
                    rds_is_fresh: rds.is_some_and(|reading| now < reading.sent.after(RDS_FRESH)),
                    highest_on_the_rds: rds.map_or(Epoch::ZERO, |reading| reading.highest),
                    predecessor: self.predecessor.as_ref(),
                };
                let intent = watching.intent(&self.me, &self.timing, now, &grounds);
                if let Intent::Succeed { .. } = &intent {
                    self.predecessor = None;
                }
                if let Intent::TryAcquire { epoch, .. } | Intent::Succeed { epoch, .. } = &intent {
                    self.state = State::Candidate {
                        watching: std::mem::take(watching),
                        epoch: *epoch,
                    };
                }
                intent
            }
            State::Candidate { .. } => Intent::Wait {
                until: now.after(self.timing.call()),
            },
            State::Leader(holding) => holding.intent(now),
            State::Leaving { retry_at, .. } if now < *retry_at => Intent::Wait { until: *retry_at },
            State::Leaving { .. } => Intent::Release,
            State::Ended(end) => Intent::End(end.clone()),
        }
    }

    /// Time alone ends leadership: no answer that comes later brings it back.
    fn expire(&mut self, now: BootTime) {
        match &self.state {
            State::Leader(holding) if now >= holding.held_until() => self.lose(Loss::Expired),
            State::Leaving { until, .. } if now >= *until => {
                self.state = State::Ended(End::Stopped);
            }
            State::Leader(_)
            | State::Leaving { .. }
            | State::Follower(_)
            | State::Candidate { .. }
            | State::Ended(_) => {}
        }
    }

    fn lose(&mut self, loss: Loss) {
        // What has run out needs no cut, and stays known as such.
        if let State::Leader(holding) = &self.state
            && loss != Loss::Expired
        {
            holding.fence();
        }
        self.state = State::Ended(End::Lost(loss));
    }

    fn stop(&mut self, now: BootTime) {
        let may_hold = match &self.state {
            State::Follower(watching) => watching.may_hold(&self.me),
            State::Candidate { .. } => true,
            State::Leader(holding) => {
                holding.fence();
                true
            }
            State::Leaving { .. } | State::Ended(_) => return,
        };
        self.state = if may_hold {
            State::Leaving {
                until: now.after(self.timing.renew_deadline()),
                retry_at: now,
            }
        } else {
            State::Ended(End::Stopped)
        };
    }

    fn released(&mut self, result: &Result<(), Failure>, now: BootTime) {
        let State::Leaving { retry_at, .. } = &mut self.state else {
            return;
        };
        match result {
            Ok(()) | Err(Failure::NotHeld(_)) => self.state = State::Ended(End::Stopped),
            Err(Failure::Conflict | Failure::Withheld(_) | Failure::Call(_)) => {
                *retry_at = now.after(self.timing.pause());
            }
        }
    }

    fn rds_read(&mut self, highest: Epoch, sent: BootTime, now: BootTime) {
        let highest = self.rds.map_or(highest, |old| old.highest.max(highest));
        self.rds = Some(Reading { highest, sent });
        if let State::Leader(holding) = &mut self.state
            && let Err(loss) = holding.rds_read(highest, sent, now)
        {
            self.lose(loss);
        }
    }

    fn watched(&mut self, view: Option<LeaseView>, now: BootTime, chance: u64) {
        match &mut self.state {
            State::Follower(watching) | State::Candidate { watching, .. } => {
                watching.see(view, &self.timing, now, chance);
            }
            State::Leader(holding) => {
                // Possibly an old state: the renewal reads the Lease itself and finds out.
                if view.and_then(|view| view.hold.holder().cloned()) != Some(self.me.clone()) {
                    holding.renew_from(now);
                }
            }
            State::Leaving { .. } | State::Ended(_) => {}
        }
    }

    fn seen(&mut self, result: Result<Option<LeaseView>, Failure>, now: BootTime, chance: u64) {
        if let State::Follower(watching) = &mut self.state {
            match result {
                Ok(view) => {
                    watching.see(view, &self.timing, now, chance);
                    watching.look_again(now.after(self.timing.retry()));
                }
                Err(_) => watching.failed(&self.timing, now, chance),
            }
        }
    }

    fn written(
        &mut self,
        sent: BootTime,
        result: Result<LeaseView, Failure>,
        now: BootTime,
        chance: u64,
    ) {
        match &mut self.state {
            State::Candidate { watching, epoch } => {
                let epoch = *epoch;
                let mut watching = std::mem::take(watching);
                self.state = match result {
                    Ok(view) if view.hold == Hold::Held(self.me.clone()) => {
                        match Holding::begin(epoch, sent, now, &self.timing) {
                            Some(holding) => State::Leader(holding),
                            // The answer came after the right it gives had ended: stand again.
                            None => State::Follower(watching.again(view, &self.timing, now)),
                        }
                    }
                    Ok(view) => State::Follower(watching.again(view, &self.timing, now)),
                    Err(failure) => {
                        watching.failed(&self.timing, now, chance);
                        watching.doubt(&failure);
                        State::Follower(watching)
                    }
                };
            }
            State::Leader(holding) => {
                if let Err(loss) = holding.written(&self.me, sent, result, now, chance) {
                    self.lose(loss);
                }
            }
            State::Follower(_) | State::Leaving { .. } | State::Ended(_) => {}
        }
    }
}
