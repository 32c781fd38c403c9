//! What a replica is at the moment, and how its part in the election ended.

use std::sync::Arc;

use crate::domain::election::{Election, Hold, HolderId, State};
use crate::domain::leadership::{BootTime, Epoch, Leadership};

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As asked.
    Stopped,
    /// Leadership was lost.
    Lost(Loss),
}

/// Why leadership was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// No renewal succeeded in time.
    #[error("the Lease could not be renewed in time")]
    Expired,
    /// The Lease names another.
    #[error("the Lease is held by {0}")]
    Taken(HolderId),
    /// The RDS carries names of a later term.
    #[error("the RDS has names of epoch {}, later than ours", .0.digits())]
    Superseded(Epoch),
}

/// What this replica is, for the rest of the process.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Another leads, or nobody.
    Following {
        /// Who, as far as is known.
        leader: Option<HolderId>,
        /// It asks others to take over: read the RDS and tell.
        offered: bool,
    },
    /// The Lease is ours; the RDS must be read before the epoch is certain. Its permits are for
    /// reading the RDS, and serve no call.
    Elected(Arc<Leadership>),
    /// We lead, at an epoch above every other and on record.
    Leading(Arc<Leadership>),
    /// The Lease is ours and offered; nothing is served until the RDS has been read again.
    Offering,
    /// It is over.
    Ended(End),
}

/// Why the Lease was free for a replica that reached for it: for people, nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vacancy {
    /// Nobody had held it, or it was emptied by hand.
    New,
    /// Its holder had not renewed it for too long.
    Expired,
    /// Its holder gave it up.
    Released,
    /// Its holder could not reach the RDS.
    Offered,
    /// Its holder was a process of this pod, and is dead.
    SamePod,
}

// === impl Election ===

impl Election {
    /// While we reach for the Lease: why it was free, and since when its last holder had given no
    /// sign of life, by our clock.
    pub fn vacancy(&self) -> Option<(Vacancy, BootTime)> {
        let State::Candidate { watching, .. } = &self.state else {
            return None;
        };
        let (view, since) = watching.sighted()?;
        let why = match &view.hold {
            Hold::Nobody => Vacancy::New,
            Hold::Held(_) => Vacancy::Expired,
            Hold::Released => Vacancy::Released,
            Hold::Offered(_) => Vacancy::Offered,
        };
        Some((why, since))
    }
}

// === impl Vacancy ===

impl Vacancy {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::New,
        Self::Expired,
        Self::Released,
        Self::Offered,
        Self::SamePod,
    ];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Expired => "expired",
            Self::Released => "released",
            Self::Offered => "offered",
            Self::SamePod => "same-pod",
        }
    }
}

// === impl Standing ===

impl Standing {
    /// Whether `other` says the same: the same leadership, not just one at the same epoch.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Elected(ours), Self::Elected(theirs))
            | (Self::Leading(ours), Self::Leading(theirs)) => Arc::ptr_eq(ours, theirs),
            (
                Self::Following { leader, offered },
                Self::Following {
                    leader: other_leader,
                    offered: other_offered,
                },
            ) => leader == other_leader && offered == other_offered,
            (Self::Offering, Self::Offering) => true,
            (Self::Ended(ours), Self::Ended(theirs)) => ours == theirs,
            _ => false,
        }
    }
}
