//! The driver's own `Election`, made small enough to search: every state of it that comes up gets a
//! number, and what an event makes of it is worked out once, by the real code.
//!
//! An election cannot be copied, but it is a pure function of what it was told. So each state keeps
//! the shortest history that leads to it, and is made anew from that. Two states are one if they
//! print the same: the printed form holds every field.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rds_csi::domain::election::{
    Election, Event, Failure, Hold, HolderId, Intent, LeaseView, Standing, Timing, Version,
};
use rds_csi::domain::error::Error;
use rds_csi::domain::leadership::{BootTime, Epoch};

use super::state::PROCESSES;

/// One tick of the clocks. The shortest lease is three of them, its deadline two.
const TICK: Duration = Duration::from_secs(2);
/// Ticks after which no search looks any more: a bit each in `Known::valid`.
pub(crate) const LAST_TICK: u8 = 15;

/// A state of an election, by number.
pub(crate) type Id = u16;

/// The Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) version: u8,
    pub(crate) holder: usize,
    pub(crate) transitions: u8,
    pub(crate) epoch: u8,
}

/// What a process wants of the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Want {
    Nothing,
    Look,
    Acquire { expecting: u8, epoch: u8 },
    Renew { epoch: u8 },
    End,
}

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    /// Nothing: it is asked what it wants.
    Asked,
    Seen(Lease),
    /// The answer to an acquire or a renew that was sent at this tick.
    Written(u8, Result<Lease, Refused>),
    /// Every register was read.
    ReadRds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    Conflict,
    NotHeld(Lease),
    /// No answer came.
    Lost,
}

/// What one state of an election amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The Lease is its own, as far as it knows; one bit for each tick at which its permits hold.
    pub(crate) elected: u16,
    /// It serves calls; likewise.
    pub(crate) leading: u16,
    /// It leads, whatever the time is.
    pub(crate) led: bool,
    /// It waits for the RDS to be read.
    pub(crate) reads: bool,
    pub(crate) ended: bool,
}

/// Every state that came up.
#[derive(Clone)]
pub(crate) struct Elections(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    states: Vec<State>,
    by_text: HashMap<String, Id>,
    next: HashMap<(Id, u8, Told), (Id, Want)>,
}

struct State {
    who: usize,
    history: Vec<(u8, Told)>,
    known: Known,
}

// === impl Lease ===

impl Lease {
    /// Its holder has released it.
    pub(crate) const NOBODY: usize = PROCESSES;
}

// === impl Elections ===

impl Elections {
    pub(crate) fn new() -> Self {
        let mut seen = Seen::default();
        for who in 0..PROCESSES {
            seen.intern(who, Vec::new(), &begin(who));
        }
        Self(Arc::new(Mutex::new(seen)))
    }

    /// Process `who` at its start.
    pub(crate) fn first(who: usize) -> Id {
        Id::try_from(who).unwrap()
    }

    /// How many different states came up.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().states.len()
    }

    pub(crate) fn known(&self, id: Id) -> Known {
        self.0.lock().unwrap().states[usize::from(id)].known
    }

    /// What becomes of an election that is told something at `tick`, and what it wants if asked.
    pub(crate) fn tell(&self, id: Id, tick: u8, told: Told) -> (Id, Want) {
        let mut seen = self.0.lock().unwrap();
        if let Some(next) = seen.next.get(&(id, tick, told)) {
            return *next;
        }
        let state = &seen.states[usize::from(id)];
        let (who, mut history) = (state.who, state.history.clone());
        let mut election = begin(who);
        for (tick, told) in &history {
            drive(&mut election, *tick, *told);
        }
        let want = drive(&mut election, tick, told);
        history.push((tick, told));
        let next = (seen.intern(who, history, &election), want);
        seen.next.insert((id, tick, told), next);
        next
    }
}

impl Seen {
    fn intern(&mut self, who: usize, history: Vec<(u8, Told)>, election: &Election) -> Id {
        let text = format!("{election:?}");
        let fresh = Id::try_from(self.states.len()).expect("few states of an election");
        let id = *self.by_text.entry(text).or_insert(fresh);
        if id == fresh {
            let known = Known::of(election);
            let state = State {
                who,
                history,
                known,
            };
            self.states.push(state);
        }
        id
    }
}

impl Known {
    fn of(election: &Election) -> Self {
        let standing = election.standing();
        let (leadership, led) = match &standing {
            Standing::Elected(leadership) => (Some(leadership), false),
            Standing::Leading(leadership) => (Some(leadership), true),
            Standing::Following { .. } | Standing::Offering | Standing::Ended(_) => (None, false),
        };
        let elected = (0..=LAST_TICK)
            .filter(|tick| leadership.is_some_and(|leadership| leadership.check(at(*tick)).is_ok()))
            .fold(0, |bits, tick| bits | 1 << tick);
        Self {
            elected,
            leading: if led { elected } else { 0 },
            led,
            reads: matches!(standing, Standing::Elected(_)),
            ended: matches!(standing, Standing::Ended(_)),
        }
    }
}

impl fmt::Debug for Elections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states of an election", self.count())
    }
}

// --- the real thing ---

fn begin(who: usize) -> Election {
    let [lease, deadline, retry] = [6, 4, 1].map(Duration::from_secs);
    let timing = Timing::new(lease, deadline, retry).expect("times that fit");
    Election::new(holder(who), timing)
}

fn drive(election: &mut Election, tick: u8, told: Told) -> Want {
    let now = at(tick);
    let event = match told {
        Told::Asked => return want(&election.intent(now)),
        Told::Seen(lease) => Event::Seen(Ok(Some(view(lease)))),
        Told::Written(sent, result) => Event::Written {
            sent: at(sent),
            result: result.map(view).map_err(|refused| match refused {
                Refused::Conflict => Failure::Conflict,
                Refused::NotHeld(lease) => Failure::NotHeld(Box::new(view(lease))),
                Refused::Lost => Failure::Call(Error::bug("no answer")),
            }),
        },
        Told::ReadRds => Event::RdsRead {
            highest: Epoch::ZERO,
            sent: now,
        },
    };
    election.on(event, now, 0);
    Want::Nothing
}

fn want(intent: &Intent) -> Want {
    let small = |epoch: &Epoch| u8::try_from(epoch.digits()).expect("few terms");
    match intent {
        Intent::Wait { .. } => Want::Nothing,
        Intent::Get => Want::Look,
        Intent::TryAcquire { expecting, epoch } => Want::Acquire {
            expecting: expecting.as_str().parse().unwrap(),
            epoch: small(epoch),
        },
        Intent::Renew {
            epoch,
            offer: false,
        } => Want::Renew {
            epoch: small(epoch),
        },
        Intent::End(_) => Want::End,
        Intent::Create
        | Intent::Succeed { .. }
        | Intent::Release
        | Intent::Renew { offer: true, .. } => {
            panic!("nothing in this model leads to {intent:?}")
        }
    }
}

fn at(tick: u8) -> BootTime {
    BootTime::new(TICK * u32::from(tick))
}

fn holder(who: usize) -> HolderId {
    HolderId::from_record(&format!("p{who}")).unwrap()
}

fn view(lease: Lease) -> LeaseView {
    LeaseView {
        version: Version::new(lease.version.to_string()),
        hold: match lease.holder {
            Lease::NOBODY => Hold::Released,
            who => Hold::Held(holder(who)),
        },
        renewed: lease.version.to_string(),
        lasts: Some(Duration::from_secs(6)),
        transitions: lease.transitions.into(),
        epoch: Epoch::from_record(lease.epoch.into()),
    }
}
