//! What the services need from the outside, in domain types only.

use std::collections::HashSet;
use std::fmt::Debug;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::claim::{Claim, Presence, Survey, Watched};
use crate::domain::election::{Failure, LeaseView, Tenure, Version};
use crate::domain::error::Error;
use crate::domain::event::Event;
use crate::domain::file::{BackingFile, Directory};
use crate::domain::grant::FencingMode;
use crate::domain::id::{NodeId, VolumeId};
use crate::domain::leadership::{BootTime, Epoch, Permit};
use crate::domain::names::Names;
use crate::domain::volume::{Entry, NewVolume, PoolSpace, Remains};

/// The storage appliance, as a set of registers and files.
///
/// # Guarantees
/// Every mutation is one conditional command line whose reply carries the read-back: the returned
/// entry is the truth after the command, whether its condition held or not.
///
/// # Errors
/// `Effect::Unknown` if the line was (or may have been) sent and no complete reply came: it may
/// still take effect, now or later. `Effect::None` if nothing was sent, or the device refused.
///
/// # Cancellation
/// Dropping a future neither stops a line on its way nor lets its reply reach another caller.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// Counts the restarts of the device that were noticed, doubtful ones included. A connection
    /// serves its first command only after it has been compared with what was known before.
    fn incarnation(&self) -> u64;

    /// Waits until the incarnation differs from `known`.
    async fn restarted(&self, known: u64);

    /// What the device can enforce; asks it by means of a throw-away entry in `base`.
    async fn probe_fencing(&self, permit: Permit, base: &Directory) -> Result<FencingMode, Error>;

    /// One disk entry, or none.
    async fn read(&self, id: &VolumeId) -> Result<Option<Entry>, Error>;

    /// Shows every disk entry whose slot is the id of a volume, in order of id, one page of the
    /// device after the other: all of them at once would be megabytes.
    async fn list(&self, show: &mut (dyn FnMut(Entry) + Send)) -> Result<(), Error>;

    /// As [`Backend::list`], of the volumes whose ids begin with `csi-` and this hex digit.
    async fn list_part(
        &self,
        digit: char,
        show: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<(), Error>;

    /// Adds the entry unless its slot is taken.
    async fn create(&self, permit: Permit, new: &NewVolume) -> Result<Option<Entry>, Error>;

    /// Prepare, cut, open: `pair` over `free`, if the entry still has exactly those names and is
    /// not exported.
    async fn grant(
        &self,
        permit: Permit,
        id: &VolumeId,
        free: &Names,
        pair: &Names,
    ) -> Result<Option<Entry>, Error>;

    /// Cut and free: `fresh` over `held`, if the entry still has exactly those names.
    async fn revoke(
        &self,
        permit: Permit,
        id: &VolumeId,
        held: &Names,
        fresh: &Names,
    ) -> Result<Option<Entry>, Error>;

    /// Cut and open under the same pair.
    async fn reopen(
        &self,
        permit: Permit,
        id: &VolumeId,
        pair: &Names,
    ) -> Result<Option<Entry>, Error>;

    /// Writes a pair that its node was told and the register lost: subsystem name over the free one,
    /// then host name, so that a half-late line leaves names that nobody knows; then cut and open.
    async fn remake(
        &self,
        permit: Permit,
        id: &VolumeId,
        free: &Names,
        pair: &Names,
    ) -> Result<Option<Entry>, Error>;

    /// Grows the volume, if it is smaller than `size`.
    async fn grow(&self, permit: Permit, id: &VolumeId, size: u64) -> Result<Option<Entry>, Error>;

    /// Removes the entry, if it is not exported and has exactly the names `free`, then reads entry
    /// and backing files.
    async fn remove(&self, permit: Permit, id: &VolumeId, free: &Names) -> Result<Remains, Error>;

    /// What is left of a volume: its entry and its backing files, wherever they lie.
    async fn remains(&self, id: &VolumeId) -> Result<Remains, Error>;

    /// Removes these backing files, then reads again.
    async fn remove_files(
        &self,
        permit: Permit,
        id: &VolumeId,
        files: &[BackingFile],
    ) -> Result<Remains, Error>;

    /// Room in the pool that holds `directory`.
    async fn space(&self, directory: &Directory) -> Result<PoolSpace, Error>;
}

/// The Lease over which the replicas elect a leader, as one of them.
///
/// # Guarantees
/// A write takes effect only if the Lease has not changed since it was read in the same call. `Ok`
/// from a write is the Lease as it was written, and it names us. Every call ends by itself, soon
/// enough that a second one fits before the renew deadline.
///
/// # Errors
/// [`Failure`]; after `Failure::Call` a write may have taken effect, or may yet.
///
/// # Cancellation
/// Dropping a call leaves it unknown whether its write takes effect.
#[async_trait]
pub trait LeaseStore: Debug + Send + Sync {
    /// The Lease, if there is one.
    async fn get(&self) -> Result<Option<LeaseView>, Failure>;

    /// Creates it, held by nobody. `Conflict` if there is one.
    async fn create(&self) -> Result<LeaseView, Failure>;

    /// Becomes its holder at `epoch`, if it still has the version `expecting`.
    async fn acquire(&self, expecting: &Version, epoch: Epoch) -> Result<LeaseView, Failure>;

    /// Renews it, marked as offered or not, or creates it as ours if it is gone. `NotHeld` if it
    /// names another.
    async fn renew(&self, epoch: Epoch, offer: bool) -> Result<LeaseView, Failure>;

    /// Gives it up, marked as released. `NotHeld` if it names another.
    async fn release(&self) -> Result<(), Failure>;

    /// The Lease now and after every change, perhaps late, perhaps with gaps. Goes on for ever.
    fn watch(&self) -> BoxStream<'static, Option<LeaseView>>;
}

/// What this process leaves to the next one in its pod, for the case that it crashes.
///
/// # Guarantees
/// `Ok` means that a process which starts after this one has died reads what was put there. Later
/// calls are never overtaken by earlier ones that failed.
///
/// # Errors
/// `Unavailable`: what is on record is the old or the new.
///
/// # Cancellation
/// As after an error.
#[async_trait]
pub trait Legacy: Debug + Send + Sync {
    /// Leadership as it stands after a renewal; `None` once it has been given up.
    async fn tenure(&self, tenure: Option<Tenure>) -> Result<(), Error>;

    /// A short cut is used at this moment.
    async fn short_cut(&self, at: BootTime) -> Result<(), Error>;
}

/// What Kubernetes says about this driver's volumes.
///
/// # Guarantees
/// Everything but [`Cluster::watched`] was read from the API by a request that began after the call
/// and needed a quorum (no `resourceVersion`): it is no older than the call.
///
/// # Errors
/// `Unavailable` or `Timeout` if the API did not answer in time, whatever it was asked: the caller
/// fails closed. An object that is not there is no error.
///
/// # Cancellation
/// Reading can be given up at any time. [`Cluster::record_remake`] may then have taken effect.
#[async_trait]
pub trait Cluster: Debug + Send + Sync {
    /// Every claim there is. `slots` are the volumes on the RDS: by them, attachments are recognised
    /// whose PersistentVolume is gone.
    async fn survey(&self, slots: &HashSet<VolumeId>) -> Result<Survey, Error>;

    /// The claim of exactly this node on exactly this volume. One that somebody made by hand under
    /// another name than Kubernetes gives is found from the moment on when it was watched.
    async fn claim(&self, volume: &VolumeId, node: &NodeId) -> Result<Option<Claim>, Error>;

    /// Every claim on one volume. Callers that wait at the same time share one LIST.
    async fn claims_on(&self, volume: &VolumeId) -> Result<Vec<Claim>, Error>;

    /// The machine behind a node id.
    async fn presence(&self, node: &NodeId) -> Result<Presence, Error>;

    /// Whether some node has this id.
    async fn knows(&self, node: &NodeId) -> Result<bool, Error>;

    /// Puts on record, on the VolumeAttachment itself, that the pair with this subsystem name has had
    /// its one chance to come back: a line is about to be sent that does it, or the volume may go to
    /// another node. False if the attachment is no longer as it was read, or says so already: then no
    /// such line may be sent.
    async fn record_remake(&self, claim: &Claim, subsystem: &str) -> Result<bool, Error>;

    /// The name that the attachment of this volume to this node has, as far as is known.
    fn attachment(&self, volume: &VolumeId, node: &NodeId) -> String;

    /// One volume as it was last watched, perhaps long ago: where to look, never what to do. `None`
    /// while nothing has been watched yet.
    fn watched(&self, volume: &VolumeId) -> Option<Watched>;
}

/// Where people read what happened.
pub trait Events: Debug + Send + Sync {
    /// Posts an event, some time, perhaps: never waits, never fails, never floods.
    fn post(&self, event: Event);
}

/// Time and chance.
pub trait Clock: Debug + Send + Sync {
    /// Now, on CLOCK_BOOTTIME.
    fn boot(&self) -> BootTime;

    /// Now, in seconds since 1970: for names that people read, never compared.
    fn unix_seconds(&self) -> u64;

    /// 64 bits that nobody can guess.
    fn random(&self) -> u64;
}
