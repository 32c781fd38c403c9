//! One error for every operation: why it failed, whether it may still take effect, what to do.

use std::error::Error as StdError;
use std::fmt;

/// Why an operation failed. `csi::status` turns it into a gRPC code, per RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A field of the request is missing or malformed; the message names it.
    Invalid,
    /// The whole call is not offered by this driver.
    Unsupported,
    /// The volume (or node) does not exist: the RDS, or the list of nodes, said so.
    NotFound,
    /// It exists already and differs from what was asked.
    Incompatible,
    /// Another node holds the volume; the message names it.
    AttachedElsewhere,
    /// The volume is in a state that forbids the operation until somebody acts.
    InUse,
    /// The size asked for can never be served.
    OutOfRange,
    /// The pool has no room.
    NoSpace,
    /// Another operation is under way, or the caller's view is out of date: try again.
    Busy,
    /// A list token that this driver did not hand out.
    BadToken,
    /// This replica does not lead, or no longer does.
    NotLeader,
    /// The RDS (or the network to it) is not there at the moment.
    Unavailable,
    /// No answer within the deadline.
    Timeout,
    /// The RDS refuses for good until an operator changes something: key, policy, package, pool.
    Misconfigured,
    /// A mistake of this program.
    Bug,
}

impl Kind {
    /// Every kind, for tables that must not miss one.
    pub const ALL: [Self; 15] = [
        Self::Invalid,
        Self::Unsupported,
        Self::NotFound,
        Self::Incompatible,
        Self::AttachedElsewhere,
        Self::InUse,
        Self::OutOfRange,
        Self::NoSpace,
        Self::Busy,
        Self::BadToken,
        Self::NotLeader,
        Self::Unavailable,
        Self::Timeout,
        Self::Misconfigured,
        Self::Bug,
    ];
}

/// Whether a failed operation may still change something on the RDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing was changed, or what was changed has been read back.
    None,
    /// A command was sent and its outcome could not be read.
    Unknown,
}

type Source = Box<dyn StdError + Send + Sync>;

/// A failed operation.
///
/// The message says what was attempted, on what, what came back and what to do; sources carry the
/// detail for logs. Neither holds secrets.
pub struct Error {
    kind: Kind,
    effect: Effect,
    context: String,
    source: Option<Source>,
}

impl Error {
    /// An operation that failed without touching the RDS, or after reading back what it did.
    pub fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self {
            kind,
            effect: Effect::None,
            context: context.into(),
            source: None,
        }
    }

    /// An operation whose outcome on the RDS is not known.
    pub fn unknown(kind: Kind, context: impl Into<String>) -> Self {
        Self {
            effect: Effect::Unknown,
            ..Self::new(kind, context)
        }
    }

    /// A malformed request field.
    pub fn invalid(context: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, context)
    }

    /// A mistake of this program.
    pub fn bug(context: impl Into<String>) -> Self {
        Self::new(Kind::Bug, context)
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure, after a command whose outcome is not known.
    #[must_use]
    pub fn with_unknown_effect(mut self) -> Self {
        self.effect = Effect::Unknown;
        self
    }

    /// Puts what was attempted in front of the message.
    #[must_use]
    pub fn while_doing(mut self, attempt: &str) -> Self {
        self.context = format!("{attempt}: {}", self.context);
        self
    }

    /// Why it failed.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it may still take effect.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The message for the caller.
    pub fn context(&self) -> &str {
        &self.context
    }
}

// === impl Error ===

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}: {}", self.kind, self.effect, self.context)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, "; caused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
