//! ListVolumes, ControllerGetVolume and GetCapacity: what is there, as the RDS says it now.

use crate::domain::capacity::{MAX_SIZE, MIN_SIZE, QUANTUM};
use crate::domain::error::{Error, Kind};
use crate::domain::grant::Register;
use crate::domain::id::VolumeId;
use crate::domain::parameters::Parameters;
use crate::domain::volume::Entry;
use crate::service::publish::explain;
use crate::service::registers::not_found;
use crate::service::term::Term;
use crate::service::{State, Volumes};

/// One volume of ListVolumes and ControllerGetVolume.
#[derive(Debug)]
pub struct Status {
    /// Its id.
    pub id: VolumeId,
    /// Exact bytes.
    pub size: u64,
    /// Nodes that can connect to it now: as their names stand on the RDS, or, of a volume that nodes
    /// share, as VolumeAttachments were last seen to say.
    pub published: Vec<String>,
    /// What is wrong with it, if anything.
    pub abnormal: Option<String>,
}

/// One page of ListVolumes.
#[derive(Debug)]
pub struct Page {
    /// The volumes.
    pub entries: Vec<Status>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// GetCapacity's answer, in bytes.
#[derive(Debug)]
pub struct Room {
    /// Free.
    pub available: u64,
    /// Largest volume that can be made now.
    pub largest: u64,
    /// Smallest volume.
    pub smallest: u64,
}

impl Volumes {
    /// One volume.
    ///
    /// # Errors
    /// `NotFound` if there is none, `InUse` if it is not provably ours.
    pub async fn status(&self, id: Option<VolumeId>) -> Result<Status, Error> {
        let id = id.ok_or_else(|| not_found("of that id"))?;
        let term = self.0.terms.current()?;
        let entry = self
            .0
            .backend
            .read(&id)
            .await?
            .ok_or_else(|| not_found(id.as_str()))?;
        term.check()?;
        entry.prove_ours(&term.scheme, &self.0.settings.base)?;
        Ok(self.0.describe(&term, &entry))
    }

    /// Volumes of ours in order of id, after the one that `token` names; all if `max` is 0.
    ///
    /// A token is the last id of the page before, so volumes that come and go between two pages
    /// move nothing (CSI, ListVolumes).
    ///
    /// # Errors
    /// `BadToken` for a token that no page of ours ended with.
    pub async fn list(&self, token: Option<&str>, max: usize) -> Result<Page, Error> {
        let after = token.map(str::parse::<VolumeId>).transpose().map_err(|_| {
            let context = "starting_token was not handed out by this driver; begin again without";
            Error::new(Kind::BadToken, context)
        })?;
        let term = self.0.terms.current()?;
        let base = &self.0.settings.base;
        let wanted = if max == 0 { usize::MAX } else { max };
        let mut page = Vec::new();
        let mut more = false;
        let mut show = |entry: Entry| {
            let passed = after.as_ref().is_some_and(|after| &entry.id <= after);
            if more || passed || entry.prove_ours(&term.scheme, base).is_err() {
                return;
            }
            if page.len() < wanted {
                page.push(self.0.describe(&term, &entry));
            } else {
                more = true;
            }
        };
        self.0.backend.list(&mut show).await?;
        term.check()?;
        let next = page.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Page {
            entries: page,
            next,
        })
    }

    /// Room for new volumes.
    ///
    /// # Errors
    /// `Invalid` for a volumePath outside the base, `Misconfigured` if the pool is not there.
    pub async fn room(&self, parameters: &Parameters) -> Result<Room, Error> {
        let base = &self.0.settings.base;
        let directory = parameters.directory.as_ref().unwrap_or(base);
        if !directory.is_within(base) {
            let context = format!("parameter volumePath {directory} is not at or below {base}");
            return Err(Error::invalid(context));
        }
        let term = self.0.terms.current()?;
        let space = self.0.backend.space(directory).await?;
        term.check()?;
        let largest = (space.free / QUANTUM * QUANTUM).min(MAX_SIZE);
        Ok(Room {
            available: space.free,
            largest,
            smallest: MIN_SIZE,
        })
    }
}

impl State {
    fn describe(&self, term: &Term, entry: &Entry) -> Status {
        let register = entry.register(&term.scheme);
        Status {
            id: entry.id.clone(),
            size: entry.size,
            published: self.published(&entry.id, &register),
            abnormal: abnormal(entry, &register),
        }
    }

    /// external-attacher compares this with its VolumeAttachments (`ReconcileVA`), and asks again for
    /// what is missing: so a grant that somebody closed must not be listed.
    fn published(&self, id: &VolumeId, register: &Register) -> Vec<String> {
        match register {
            Register::Granted(pair) if pair.node.is_shared() => self.sharers(id),
            Register::Granted(pair) => vec![pair.node.to_string()],
            Register::Free(_)
            | Register::Prepared(_)
            | Register::Stray(_)
            | Register::Foreign { .. } => Vec::new(),
        }
    }

    /// The names on the RDS of a shared volume name nobody.
    fn sharers(&self, id: &VolumeId) -> Vec<String> {
        let cluster = self.cluster.as_ref();
        let watched = cluster.and_then(|cluster| cluster.watched(id));
        let claims = watched.map(|watched| watched.claims).unwrap_or_default();
        let sharers = claims.iter().filter(|claim| self.shares.counts(id, claim));
        sharers.map(|claim| claim.node.to_string()).collect()
    }
}

fn abnormal(entry: &Entry, register: &Register) -> Option<String> {
    if entry.disabled {
        return Some("the disk entry is disabled on the RDS; enable it".to_owned());
    }
    match register {
        Register::Free(_) | Register::Granted(_) => None,
        Register::Prepared(pair) => Some(format!(
            "granted to node {} but not exported; publish or unpublish it again",
            pair.node
        )),
        Register::Stray(_) => Some("names half written; publish or unpublish it again".to_owned()),
        Register::Foreign { why, .. } => Some(explain(*why).to_owned()),
    }
}
