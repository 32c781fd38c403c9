//! What is said of an election: in the log, and in what is counted.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::domain::election::{End, Event, Failure, HolderId, Intent, Standing};
use crate::metrics::election::Election as Counters;

/// A call on the Lease has ended, or was given up.
pub(super) fn call(intent: &Intent, event: &Event, took: Duration, counters: &Counters) {
    if let Some(call) = word(intent) {
        counters.called(call, outcome(event), took);
    }
}

/// Lost races are how an election works; a call without an answer is what an operator looks for.
pub(super) fn failure(intent: &Intent, event: &Event) {
    match failed(event) {
        None => {}
        Some(failure @ (Failure::Conflict | Failure::NotHeld(_))) => {
            debug!(?intent, %failure, "the Lease changed");
        }
        Some(Failure::Withheld(error)) => {
            debug!(?intent, ?error, "a call on the Lease was not made");
        }
        Some(Failure::Call(error)) => warn!(?intent, ?error, "a call on the Lease failed"),
    }
}

/// This replica is something else from now on.
pub(super) fn standing(now: &Standing, counters: &Counters) {
    match now {
        Standing::Following { leader, offered } => {
            let leader = leader.as_ref().map(HolderId::as_str);
            info!(leader, offered, "following");
        }
        Standing::Elected(leadership) => {
            info!(epoch = ?leadership.epoch(), "elected; the RDS is to be read");
        }
        Standing::Leading(leadership) => info!(epoch = ?leadership.epoch(), "leading"),
        Standing::Offering => {
            counters.offered();
            warn!("the RDS is out of reach; leadership is on offer");
        }
        Standing::Ended(End::Stopped) => info!("no longer standing for election"),
        Standing::Ended(End::Lost(loss)) => {
            counters.lost(loss);
            warn!(%loss, "leadership is lost");
        }
    }
}

/// The word for a call in metrics.
fn word(intent: &Intent) -> Option<&'static str> {
    match intent {
        Intent::Get => Some("get"),
        Intent::Create => Some("create"),
        Intent::TryAcquire { .. } | Intent::Succeed { .. } => Some("acquire"),
        Intent::Renew { .. } => Some("renew"),
        Intent::Release => Some("release"),
        Intent::Wait { .. } | Intent::End(_) => None,
    }
}

/// The word for what came of it.
fn outcome(event: &Event) -> &'static str {
    match (failed(event), event) {
        (Some(Failure::Conflict), _) => "conflict",
        (Some(Failure::NotHeld(_)), _) => "not-held",
        (Some(Failure::Withheld(_)), _) => "withheld",
        (Some(Failure::Call(_)), _) => "failed",
        (None, Event::Tick) => "given-up",
        (None, _) => "done",
    }
}

fn failed(event: &Event) -> Option<&Failure> {
    match event {
        Event::Seen(Err(failure))
        | Event::Written {
            result: Err(failure),
            ..
        }
        | Event::Released(Err(failure)) => Some(failure),
        _ => None,
    }
}
