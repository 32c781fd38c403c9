//! The short cut of a pod whose container crashed: when the new process may take the Lease that its
//! dead predecessor still holds, without waiting for it to run out.
//!
//! Why that makes no two leaders: the lock proves that the predecessor is dead, and its record says
//! until when its own right would have lasted. Before that moment that very right keeps every other
//! replica out, exactly as if the predecessor lived; so between the two nobody leads. After that
//! moment the short cut is closed, whatever the Lease says, and the ordinary wait applies.
//!
//! The record is in terms of CLOCK_BOOTTIME, which no hand sets and no suspend stops, and of the
//! boot it was counted in, so that a reboot or another machine voids it.

use std::time::Duration;

use crate::domain::election::HolderId;
use crate::domain::leadership::BootTime;

/// One run of a machine: `/proc/sys/kernel/random/boot_id`. Boot times of two runs do not compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootId(String);

/// The leadership of one process, as it puts it on record for its successor in the same pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    /// Who leads.
    pub holder: HolderId,
    /// Since when, without a break.
    pub began: BootTime,
    /// When the last renewal that succeeded was sent. That it led for so long at least is certain.
    pub renewed: BootTime,
    /// Until when that renewal keeps every other replica out.
    pub until: BootTime,
}

/// What the processes of one pod know of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRecord {
    /// What its times are counted from.
    pub boot: BootId,
    /// The leadership of the last process that held the lock, unless it gave that up itself.
    pub tenure: Option<Tenure>,
    /// When a short cut was last used.
    pub short_cut: Option<BootTime>,
}

/// When a crash earns a short cut. A pod that crashes again and again must hand leadership to a
/// healthy one, which it does by waiting like all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortCutRules {
    /// The predecessor must have led for so long.
    pub led_for: Duration,
    /// Two short cuts of a pod are at least so far apart.
    pub apart: Duration,
}

/// A former process of this pod that is dead, and with it its leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    holder: HolderId,
    until: BootTime,
}

/// Why there is no short cut. The ordinary election serves all the same, and takes a lease longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoShortCut {
    /// Nothing was written yet, or nothing that can be read.
    #[error("there is no readable record of a predecessor")]
    NoRecord,
    /// Another run of this machine, or another machine.
    #[error("the record is of another boot of the machine")]
    OtherBoot,
    /// The last process did not lead, or gave the Lease up itself.
    #[error("the last process of this pod did not lead when it ended")]
    DidNotLead,
    /// Another pod, or no telling: a pod UID that was never filled in names every pod.
    #[error(
        "the record is of `{0}`, which is no former process of this pod; if that is this pod's name, check that the pod UID comes from the downward API (metadata.uid)"
    )]
    OtherPod(HolderId),
    /// Times that no clock can have told in this order.
    #[error("the times in the record contradict each other")]
    Nonsense,
    /// It crashed soon after it began.
    #[error("the last process of this pod had led for {led:?}; a short cut takes {least:?}")]
    LedTooShort {
        /// For how long it led.
        led: Duration,
        /// For how long it must have.
        least: Duration,
    },
    /// It was used not long ago.
    #[error("the last short cut was {ago:?} ago; the next is allowed after {apart:?}")]
    TooSoon {
        /// How long ago.
        ago: Duration,
        /// How long it must be.
        apart: Duration,
    },
    /// Another replica may lead by now.
    #[error("the right of the last process of this pod has run out")]
    RanOut,
}

// === impl BootId ===

impl BootId {
    /// As the kernel tells it; `None` if it tells nothing.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// As the kernel told it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl ShortCutRules ===

impl Default for ShortCutRules {
    /// A minute of leading tells a working leader from one that dies of its start; 10 min are as
    /// long as the kubelet takes to forget a crash and to restart a container without back-off.
    fn default() -> Self {
        Self {
            led_for: Duration::from_mins(1),
            apart: Duration::from_mins(10),
        }
    }
}

// === impl Predecessor ===

impl Predecessor {
    /// The predecessor of `me`, by the record found under a lock that `me` holds by now, and that the
    /// author of the record held for life.
    ///
    /// # Errors
    /// [`NoShortCut`], with the first condition that does not hold.
    pub fn find(
        me: &HolderId,
        record: Option<&PodRecord>,
        boot: &BootId,
        rules: &ShortCutRules,
        now: BootTime,
    ) -> Result<Self, NoShortCut> {
        let record = record.ok_or(NoShortCut::NoRecord)?;
        if record.boot != *boot {
            return Err(NoShortCut::OtherBoot);
        }
        let tenure = record.tenure.as_ref().ok_or(NoShortCut::DidNotLead)?;
        if !me.succeeds(&tenure.holder) {
            return Err(NoShortCut::OtherPod(tenure.holder.clone()));
        }
        let ordered = [tenure.began, tenure.renewed, now].is_sorted()
            && tenure.renewed < tenure.until
            && record.short_cut.is_none_or(|at| at <= now);
        if !ordered {
            return Err(NoShortCut::Nonsense);
        }
        let led = tenure.began.until(tenure.renewed);
        if led < rules.led_for {
            let least = rules.led_for;
            return Err(NoShortCut::LedTooShort { led, least });
        }
        let ago = record.short_cut.map(|at| at.until(now));
        if let Some(ago) = ago.filter(|ago| *ago < rules.apart) {
            let apart = rules.apart;
            return Err(NoShortCut::TooSoon { ago, apart });
        }
        if now >= tenure.until {
            return Err(NoShortCut::RanOut);
        }
        Ok(Self {
            holder: tenure.holder.clone(),
            until: tenure.until,
        })
    }

    /// Whether its right alone keeps all others out of a Lease held by `holder`.
    pub(super) fn vouches_for(&self, holder: &HolderId, now: BootTime) -> bool {
        self.holder == *holder && now < self.until
    }

    /// Without rules: the model tries a short cut after every crash.
    #[cfg(test)]
    pub(super) fn of(tenure: &Tenure) -> Self {
        Self {
            holder: tenure.holder.clone(),
            until: tenure.until,
        }
    }
}
