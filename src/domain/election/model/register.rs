//! The Lease of the model: a register with compare-and-swap, and the calls that reach it.

use std::time::Duration;

use super::super::{Event, Failure, Hold, HolderId, Intent, LeaseView, Version};
use crate::domain::leadership::{BootTime, Epoch};

/// A call on its way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) sent: BootTime,
    pub(super) who: HolderId,
    /// The caller's time of day.
    pub(super) wall: String,
    pub(super) what: Intent,
    pub(super) read: Read,
}

/// What a call has read before it writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Nothing,
    Absent,
    Version(Version),
}

/// What became of a request.
pub(super) enum Served {
    /// The first half: the caller goes on with what it read.
    Read(Call),
    Done(Event),
}

/// What the API server keeps.
#[derive(Debug)]
pub(super) struct Register {
    pub(super) lease: Option<LeaseView>,
    lasts: Duration,
    writes: u64,
}

impl Call {
    /// The event that this outcome of this call is.
    pub(super) fn answer(&self, result: Result<Option<LeaseView>, Failure>) -> Event {
        let sent = self.sent;
        match &self.what {
            Intent::Get | Intent::Create => Event::Seen(result),
            Intent::Release => Event::Released(result.map(drop)),
            _ => Event::Written {
                sent,
                result: result.map(|lease| lease.expect("a write leaves a Lease")),
            },
        }
    }
}

impl Register {
    pub(super) fn new(lasts: Duration) -> Self {
        Self {
            lease: None,
            lasts,
            writes: 0,
        }
    }

    pub(super) fn serve(&mut self, mut call: Call) -> Served {
        let version = self
            .lease
            .as_ref()
            .map_or(Read::Absent, |lease| Read::Version(lease.version.clone()));
        let is_mine = |lease: &LeaseView| lease.hold.holder() == Some(&call.who);
        let reads_first = matches!(call.what, Intent::Renew { .. } | Intent::Release);
        let result = match (&call.read, &self.lease) {
            (Read::Nothing, Some(lease)) if reads_first && !is_mine(lease) => {
                Err(Failure::NotHeld(Box::new(lease.clone())))
            }
            (Read::Nothing, _) if reads_first => {
                call.read = version;
                return Served::Read(call);
            }
            (Read::Absent | Read::Version(_), _) if call.read != version => Err(Failure::Conflict),
            _ => self.write_for(&call).map(|()| self.lease.clone()),
        };
        Served::Done(call.answer(result))
    }

    pub(super) fn edit(&mut self, hand: impl Fn(&mut LeaseView)) {
        self.writes += 1;
        if let Some(lease) = &mut self.lease {
            hand(lease);
            lease.version = Version::new(self.writes.to_string());
        }
    }

    fn write_for(&mut self, call: &Call) -> Result<(), Failure> {
        let (who, wall) = (call.who.clone(), &call.wall);
        let lease = self.lease.clone();
        let transitions = lease.as_ref().map_or(0, |lease| lease.transitions);
        match (&call.what, lease) {
            (Intent::Get, _) => {}
            (Intent::Create, None) => self.write(Hold::Nobody, wall, Epoch::ZERO, 0),
            (
                Intent::TryAcquire { expecting, epoch } | Intent::Succeed { expecting, epoch },
                Some(lease),
            ) if lease.version == *expecting => {
                self.write(Hold::Held(who), wall, *epoch, transitions + 1);
            }
            (Intent::Renew { epoch, offer }, _) => {
                let hold = if *offer { Hold::Offered } else { Hold::Held };
                self.write(hold(who), wall, *epoch, transitions);
            }
            (Intent::Release, Some(lease)) => {
                self.write(Hold::Released, wall, lease.epoch, transitions);
            }
            _ => return Err(Failure::Conflict),
        }
        Ok(())
    }

    fn write(&mut self, hold: Hold, wall: &str, epoch: Epoch, transitions: u64) {
        self.writes += 1;
        self.lease = Some(LeaseView {
            version: Version::new(self.writes.to_string()),
            hold,
            renewed: wall.to_owned(),
            lasts: Some(self.lasts),
            transitions,
            epoch,
        });
    }
}
