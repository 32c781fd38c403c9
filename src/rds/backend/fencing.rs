//! Finds what the device can enforce, by means of a throw-away entry.

use crate::domain::error::{Error, Kind};
use crate::domain::file::Directory;
use crate::domain::grant::FencingMode;
use crate::rds::answer::Answer;
use crate::rds::backend::{RdsBackend, failure};
use crate::rds::entry::DiskEntry;
use crate::rds::line::{Line, ProbeLine, RemoveEntryLine};
use crate::rds::names::Names;
use crate::rds::value::{BackingFile, DeviceName, Slot};

/// Large enough for any filesystem's rounding, too small to matter.
const PROBE_SIZE: u64 = 1 << 20;
/// Sixteen hex digits follow; the whole is 26 characters, under the limit of 32.
const PROBE_SLOT: &str = "csi-probe-";

/// Both names are tried first; a device that does not know the allow-list refuses the whole line
/// before it runs any of it.
pub(super) async fn probe(backend: &RdsBackend, base: &Directory) -> Result<FencingMode, Error> {
    let both = Probe::new(backend, base, true)?;
    match both.run(backend).await {
        Ok(found) => Ok(found),
        Err(refused) if refused.kind() == Kind::Misconfigured => Probe::new(backend, base, false)?
            .run(backend)
            .await
            .map_err(|_| refused),
        Err(error) => Err(error),
    }
}

struct Probe {
    line: ProbeLine,
}

impl Probe {
    fn new(backend: &RdsBackend, base: &Directory, with_host: bool) -> Result<Self, Error> {
        let tail = format!("{:016x}", backend.clock.random());
        let slot = format!("{PROBE_SLOT}{tail}");
        let names = |word: &str| {
            let subsystem = DeviceName::new(&format!("nqn.2000-02.com.mikrotik:{slot}:{word}"));
            let host = DeviceName::new(&format!("nqn.2026-11.io.srvlab.csi.rds:{tail}:{word}"));
            let subsystem = subsystem.map_err(failure::unsendable)?;
            let host = host.map_err(failure::unsendable)?;
            Ok::<_, Error>(if with_host {
                Names::Pair { subsystem, host }
            } else {
                Names::Subsystem(subsystem)
            })
        };
        let file = BackingFile::new(&format!("{base}/{slot}.img")).map_err(failure::unsendable)?;
        let line = ProbeLine {
            before: names("before")?,
            after: names("after")?,
            slot: Slot::new(&slot).map_err(failure::unsendable)?,
            file,
            size: PROBE_SIZE,
            form: backend.device.form(),
        };
        Ok(Self { line })
    }

    async fn run(&self, backend: &RdsBackend) -> Result<FencingMode, Error> {
        let line = Line::probe(&self.line).map_err(failure::unsendable)?;
        let result = backend.send(&line, self.line.slot.as_str()).await;
        let found = result.and_then(|answer| self.judge(&line, &answer));
        match found {
            Ok((mode, None)) => Ok(mode),
            Ok((mode, Some(left))) => self.clean(backend, &left).await.map(|()| mode),
            Err(error) => {
                // Whatever the line left behind goes by its own name; that it can fail as well is
                // already said by the error.
                self.sweep(backend).await;
                Err(error)
            }
        }
    }

    /// The mode, and the entry if the line could not remove it.
    fn judge(
        &self,
        line: &Line,
        answer: &Answer,
    ) -> Result<(FencingMode, Option<DiskEntry>), Error> {
        let disk = |index| {
            answer
                .disk(index)
                .map_err(|error| failure::unreadable(line, error))
        };
        let renamed = disk(1)?.ok_or_else(|| {
            let context = "the RDS took the probe's throw-away entry and did not list it";
            Error::new(Kind::Unavailable, context)
        })?;
        let is = |seen: Option<&String>, name: Option<&DeviceName>| {
            seen.is_some() && seen.map(String::as_str) == name.map(DeviceName::as_str)
        };
        let subsystem = is(renamed.subsystem_nqn.as_ref(), self.line.after.subsystem());
        let host = is(renamed.host_nqn.as_ref(), self.line.after.host());
        let mode = match (subsystem, host) {
            (true, true) => FencingMode::Pair,
            (false, true) => FencingMode::HostNqn,
            (true, false) => FencingMode::SubsystemNqn,
            (false, false) => FencingMode::Controller,
        };
        Ok((mode, disk(2)?))
    }

    /// Removes an entry whose names are neither those before nor those after.
    async fn clean(&self, backend: &RdsBackend, left: &DiskEntry) -> Result<(), Error> {
        let name = |text: &Option<String>| {
            DeviceName::new(text.as_deref().unwrap_or_default()).map_err(failure::unsendable)
        };
        let (subsystem, host) = (name(&left.subsystem_nqn)?, name(&left.host_nqn)?);
        let names = match (&left.subsystem_nqn, &left.host_nqn) {
            (Some(_), Some(_)) => Names::Pair { subsystem, host },
            (Some(_), None) => Names::Subsystem(subsystem),
            (None, _) => Names::Host(host),
        };
        self.remove(backend, names).await
    }

    async fn sweep(&self, backend: &RdsBackend) {
        for names in [&self.line.before, &self.line.after] {
            if let Err(error) = self.remove(backend, names.clone()).await {
                tracing::debug!(%error, slot = self.line.slot.as_str(), "probe not swept");
            }
        }
    }

    async fn remove(&self, backend: &RdsBackend, names: Names) -> Result<(), Error> {
        let slot = self.line.slot.clone();
        let form = self.line.form;
        let entry = Line::remove_entry(&RemoveEntryLine {
            slot: slot.clone(),
            names,
            form,
        });
        backend.send(&entry, slot.as_str()).await?;
        let file = Line::remove_files(&slot, std::slice::from_ref(&self.line.file), form);
        backend.send(&file, slot.as_str()).await?;
        Ok(())
    }
}
