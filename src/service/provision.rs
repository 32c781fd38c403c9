//! CreateVolume, DeleteVolume and ControllerExpandVolume.

use crate::domain::capacity::SizeRange;
use crate::domain::context::VolumeContext;
use crate::domain::error::{Effect, Error, Kind};
use crate::domain::file::BackingFile;
use crate::domain::grant::Register;
use crate::domain::id::VolumeId;
use crate::domain::parameters::Parameters;
use crate::domain::volume::{Entry, NewVolume, Remains};
use crate::service::Volumes;
use crate::service::publish::explain;
use crate::service::registers::{After, Work, not_found};
use crate::service::shards::Lane;

/// Steps that a delete may take: read, revoke a stray, remove, remove again with the names that the
/// first try read back, remove the file, once more after a lost reply.
const MAX_STEPS: usize = 6;

/// CreateVolume, read.
#[derive(Debug)]
pub struct CreateVolume {
    /// The CO's name of the volume.
    pub name: String,
    /// How large.
    pub size: SizeRange,
    /// StorageClass parameters.
    pub parameters: Parameters,
}

/// A volume that exists.
#[derive(Debug)]
pub struct Created {
    /// Its id.
    pub id: VolumeId,
    /// Exact bytes.
    pub size: u64,
    /// What later calls need.
    pub context: VolumeContext,
}

impl Volumes {
    /// Makes a volume, or finds that it has been made already.
    ///
    /// # Errors
    /// `Incompatible` if it exists and differs, `NoSpace` if the pool is full.
    pub async fn create(&self, request: CreateVolume) -> Result<Created, Error> {
        let id = VolumeId::derive(&self.0.settings.cluster, &request.name);
        self.exclusively(&id.clone(), Lane::Publish, "create", |state| async move {
            let work = Work::begin(&state, &id)?;
            let result = create(&work, request).await;
            work.end(result)
        })
        .await
    }

    /// Removes a volume: entry and file, both seen gone.
    ///
    /// # Errors
    /// `InUse` while it is granted, or if it is not provably ours.
    pub async fn delete(&self, id: Option<VolumeId>) -> Result<(), Error> {
        let Some(id) = id else { return Ok(()) };
        self.exclusively(&id.clone(), Lane::Publish, "delete", |state| async move {
            let work = Work::begin(&state, &id)?;
            let result = delete(&work).await;
            work.end(result)
        })
        .await
    }

    /// Grows a volume; its size afterwards, in bytes.
    ///
    /// # Errors
    /// `NotFound`, `NoSpace`, or `OutOfRange` if it is larger than the limit already.
    pub async fn expand(&self, id: Option<VolumeId>, size: SizeRange) -> Result<u64, Error> {
        let id = id.ok_or_else(|| not_found("of that id"))?;
        self.exclusively(&id.clone(), Lane::Publish, "expand", |state| async move {
            let work = Work::begin(&state, &id)?;
            let result = expand(&work, size).await;
            work.end(result)
        })
        .await
    }
}

async fn create(work: &Work, request: CreateVolume) -> Result<Created, Error> {
    let new = plan(work, &request)?;
    let permit = work.permit()?;
    let entry = match work.state.backend.create(permit, &new).await {
        Ok(entry) => entry,
        Err(error) if error.kind() == Kind::Unavailable && error.effect() == Effect::None => {
            return Err(error);
        }
        // Whether there is an entry now is asked, not guessed, after a refusal as well: the device
        // may refuse what another line made at the same moment, or fail after it made it.
        Err(error) => {
            work.doubt();
            Some(work.read().await?.ok_or(error)?)
        }
    };
    work.term.check()?;
    let entry = entry.ok_or_else(|| {
        let context = format!("volume {} was added but did not read back; retry", new.id);
        Error::unknown(Kind::Unavailable, context)
    })?;
    let file = entry.prove_ours(&work.term.scheme, &work.state.settings.base)?;
    if file == new.file {
        let register = entry.register(&work.term.scheme);
        work.state.ledger.born(&new.id, &file, register);
    } else {
        work.view(entry.clone())?;
    }
    check_same(&entry, &file, &new.file, &request)?;
    Ok(Created {
        id: new.id,
        size: entry.size,
        context: context(work, request.parameters, &file),
    })
}

fn plan(work: &Work, request: &CreateVolume) -> Result<NewVolume, Error> {
    let settings = &work.state.settings;
    let directory = request
        .parameters
        .directory
        .clone()
        .unwrap_or_else(|| settings.base.clone());
    if !directory.is_within(&settings.base) {
        return Err(Error::invalid(format!(
            "parameter volumePath {directory} is not at or below {}",
            settings.base
        )));
    }
    Ok(NewVolume {
        id: work.id.clone(),
        file: BackingFile {
            directory,
            volume: work.id.clone(),
            cluster: settings.cluster.tag(),
            parameters: request.parameters.digest(),
            nonce: work.state.clock.random(),
        },
        size: request.size.allocate(),
        port: request.parameters.nvme_port,
        names: work.term.scheme.first_names(&work.id, work.tail()),
    })
}

/// A retry must find what it asks for; anything else is another volume of the same name.
fn check_same(
    entry: &Entry,
    file: &BackingFile,
    asked: &BackingFile,
    request: &CreateVolume,
) -> Result<(), Error> {
    let differs = |what: String| {
        let context = format!(
            "volume {:?} exists as {} with {what}",
            request.name, entry.id
        );
        Err(Error::new(Kind::Incompatible, context))
    };
    if !request.size.admits(entry.size) {
        return differs(format!(
            "{} bytes, which is not the size asked for",
            entry.size
        ));
    }
    if file.parameters != asked.parameters || file.directory != asked.directory {
        return differs(format!("other parameters (backing file {file})"));
    }
    Ok(())
}

fn context(work: &Work, parameters: Parameters, file: &BackingFile) -> VolumeContext {
    let settings = &work.state.settings;
    VolumeContext {
        nvme_address: parameters.nvme_address.unwrap_or(settings.nvme_address),
        rds_address: settings.rds_address.clone(),
        path: file.path(),
        parameters,
    }
}

async fn delete(work: &Work) -> Result<(), Error> {
    let mut register = work
        .expectation()
        .filter(|seen| matches!(seen, Register::Free(_)));
    let mut lost = None;
    for _ in 0..MAX_STEPS {
        let remains = match register.take() {
            None => work.state.backend.remains(&work.id).await?,
            Some(Register::Free(free)) => {
                let permit = work.permit()?;
                match work.state.backend.remove(permit, &work.id, &free).await {
                    Ok(remains) => remains,
                    Err(error) if error.effect() == Effect::Unknown => {
                        work.doubt();
                        lost = Some(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            Some(Register::Stray(names)) => match work.revoke(&names).await? {
                After::View(view) => {
                    register = Some(view.register);
                    continue;
                }
                After::Gone => continue,
                After::Unknown(error) => {
                    lost = Some(error);
                    continue;
                }
            },
            Some(held) => return Err(in_use(&work.id, &held)),
        };
        work.resolved();
        match remains.entry {
            Some(entry) => register = Some(work.view(entry)?.register),
            None => return remove_files(work, remains).await,
        }
    }
    Err(lost.unwrap_or_else(|| {
        Error::new(
            Kind::Busy,
            format!(
                "delete of {}: its names kept changing; retry later",
                work.id
            ),
        )
    }))
}

/// The entry is gone; now the files. A file that stays behind is an error: its space would be lost.
async fn remove_files(work: &Work, remains: Remains) -> Result<(), Error> {
    work.state.ledger.forget(&work.id);
    let base = &work.state.settings.base;
    let cluster = &work.term.scheme.cluster;
    let ours = |files: Vec<BackingFile>| -> Vec<BackingFile> {
        files
            .into_iter()
            .filter(|file| BackingFile::prove(&file.path(), &work.id, cluster, base).is_ok())
            .collect()
    };
    let mut files = ours(remains.files);
    while !files.is_empty() {
        let permit = work.permit()?;
        let left = work
            .state
            .backend
            .remove_files(permit, &work.id, &files)
            .await?;
        if left.entry.is_some() {
            let context = format!("volume {} came back while it was deleted; retry", work.id);
            return Err(Error::new(Kind::Busy, context));
        }
        let before = files.len();
        files = ours(left.files);
        if let Some(file) = files.first().filter(|_| files.len() >= before) {
            let context = format!(
                "the entry of {} is gone, but not its file {file}; retry",
                work.id
            );
            return Err(Error::new(Kind::Unavailable, context));
        }
    }
    work.term.check()
}

fn in_use(id: &VolumeId, register: &Register) -> Error {
    let context = match register {
        Register::Foreign { why, .. } => format!("volume {id} is not deleted: {}", explain(*why)),
        held => format!(
            "volume {id} is attached to node {}; detach it first",
            held.holder().map_or("unknown", |node| node.as_str())
        ),
    };
    Error::new(Kind::InUse, context)
}

async fn expand(work: &Work, size: SizeRange) -> Result<u64, Error> {
    if work.expectation().is_none() {
        work.read_ours().await?.ok_or_else(|| work.not_found())?;
    }
    let target = size.allocate();
    let permit = work.permit()?;
    let reply = work.state.backend.grow(permit, &work.id, target).await;
    let view = match work.after(reply)? {
        After::View(view) => *view,
        After::Gone => return Err(work.not_found()),
        After::Unknown(error) => {
            let view = work.read_ours().await?.ok_or_else(|| work.not_found())?;
            if view.entry.size < target {
                return Err(error);
            }
            view
        }
    };
    work.term.check()?;
    judge_growth(&work.id, view.entry.size, target, size)
}

fn judge_growth(id: &VolumeId, got: u64, target: u64, asked: SizeRange) -> Result<u64, Error> {
    if got < target {
        let context = format!("the RDS left volume {id} at {got} bytes instead of {target}; retry");
        return Err(Error::new(Kind::Unavailable, context));
    }
    match asked.limit() {
        Some(limit) if got > limit => Err(Error::new(
            Kind::OutOfRange,
            format!("volume {id} has {got} bytes already, more than the limit of {limit}"),
        )),
        Some(_) | None => Ok(got),
    }
}
