//! What came back instead of an answer, told in the terms of `domain::error`.

use crate::domain::error::{Effect, Error, Kind};
use crate::metrics::commands::UNKNOWN;
use crate::rds::answer::Answer;
use crate::rds::error::ReadError;
use crate::rds::line::Line;
use crate::rds::refusal::Refusal;
use crate::rds::reply::{Outcome, Refused};
use crate::rds::transport::{ExecError, Lost, NotSent};

/// A line or value that must not be sent: the domain's own rules should have kept it out.
pub(super) fn unsendable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::bug(format!("a RouterOS line could not be written: {error}")).because(error)
}

/// A complete reply that does not say what it should. What the line changed is not known.
pub(super) fn unreadable(line: &Line, error: ReadError) -> Error {
    let context = format!("RouterOS {}: {error}", line.verb());
    with_effect(line, Kind::Unavailable, context).because(error)
}

/// No complete reply on the wire.
pub(super) fn no_reply(line: &Line, error: &ExecError) -> Error {
    match error {
        ExecError::NotSent { reason, .. } => Error::new(not_sent(reason), error.to_string()),
        ExecError::Unknown { reason, .. } => with_effect(line, lost(reason), error.to_string()),
    }
}

/// Takes the outcome of a line for an answer or an error.
pub(super) fn judge(line: &Line, outcome: Outcome) -> Result<Answer, Error> {
    match outcome {
        Outcome::Complete(answer) => Ok(answer),
        Outcome::Refused(refused) => Err(refusal(line, &refused)),
        Outcome::Incomplete(gap) => {
            let context = format!("RouterOS {}: the reply broke off ({gap:?})", line.verb());
            Err(with_effect(line, Kind::Unavailable, context))
        }
    }
}

/// The word for the span and in metrics.
pub(super) fn outcome(result: &Result<Answer, Error>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(error) if error.effect() == Effect::Unknown => UNKNOWN,
        Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Timeout) => "unreachable",
        Err(_) => "refused",
    }
}

/// A line that only reads leaves nothing unknown behind.
fn with_effect(line: &Line, kind: Kind, context: String) -> Error {
    if line.mutates() {
        Error::unknown(kind, context)
    } else {
        Error::new(kind, context)
    }
}

fn not_sent(reason: &NotSent) -> Kind {
    match reason {
        NotSent::Down(error) if error.needs_operator() => Kind::Misconfigured,
        NotSent::Malformed { .. } => Kind::Bug,
        NotSent::Down(_)
        | NotSent::Busy { .. }
        | NotSent::QueueFull { .. }
        | NotSent::Refused { .. }
        | NotSent::Closed { .. }
        | NotSent::ChannelTimeout { .. } => Kind::Unavailable,
    }
}

fn lost(reason: &Lost) -> Kind {
    match reason {
        Lost::Timeout { .. } => Kind::Timeout,
        Lost::Closed { .. } | Lost::TooLarge { .. } | Lost::Panicked => Kind::Unavailable,
    }
}

fn refusal(line: &Line, refused: &Refused) -> Error {
    let (kind, cure) = match refused.reason {
        Refusal::NoSpace => (Kind::NoSpace, "free room in the pool or ask for less"),
        Refusal::NoPermission => (
            Kind::Misconfigured,
            "give the user's group the policies ssh, read, write and test",
        ),
        Refusal::DeviceMode => (Kind::Misconfigured, "allow it with /system/device-mode"),
        Refusal::BadCommand => (
            Kind::Misconfigured,
            "this RouterOS does not know the command: check its version and the rose-storage package",
        ),
        Refusal::Duplicate => (
            Kind::Incompatible,
            "another object has that name or path; see /disk and /file",
        ),
        Refusal::Busy => (Kind::InUse, "see what uses it with /disk print detail"),
        Refusal::InvalidValue => (Kind::Misconfigured, "see the message for the value"),
        Refusal::NoSuchItem => (Kind::Busy, "it changed at the same moment; retry"),
        Refusal::Interrupted => (Kind::Unavailable, "retry"),
        Refusal::Other => (Kind::Misconfigured, "see the message and the device's log"),
    };
    let context = format!(
        "RouterOS {} was refused: {:?}; {cure}",
        line.verb(),
        refused.text
    );
    match refused.reason {
        Refusal::Interrupted => with_effect(line, kind, context),
        _ => Error::new(kind, context),
    }
}
