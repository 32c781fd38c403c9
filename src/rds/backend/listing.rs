//! Reads that go beyond one entry: all volumes, in pages a device can print, and the pool.

use crate::domain::error::{Error, Kind};
use crate::domain::file::Directory;
use crate::domain::id::VolumeId;
use crate::domain::volume::{Entry, PoolSpace};
use crate::rds::backend::{RdsBackend, convert, failure};
use crate::rds::command::{Read, ReadForm};
use crate::rds::line::Line;
use crate::rds::value::{MountPoint, Prefix};

/// What every slot of this driver begins with.
const SLOTS: &str = "csi-";
/// Volumes asked for at once. An entry takes about 1.4 kB, so a page stays under 1.4 MB, a twelfth of
/// the longest reply. Pages are cut by whole digits: 10,000 volumes are 16 pages of 625.
const PAGE: u64 = 1000;
/// Digits of a slot that pages are cut by at most: 16^4 pages hold more volumes than any RDS.
const MAX_DEPTH: usize = 4;

/// The line that reads one entry.
pub(super) fn one(id: &VolumeId, form: ReadForm) -> Result<Line, Error> {
    Line::read("read", &[Read::Disk(convert::slot(id)?)], form).map_err(failure::unsendable)
}

/// Shows every volume, in order of id. Slots are hashes, so pages by their first digits fill evenly.
pub(super) async fn all(
    backend: &RdsBackend,
    show: &mut (dyn FnMut(Entry) + Send),
) -> Result<(), Error> {
    below(backend, SLOTS, show).await
}

/// As [`all`], of the volumes whose first digit this is.
pub(super) async fn part(
    backend: &RdsBackend,
    digit: char,
    show: &mut (dyn FnMut(Entry) + Send),
) -> Result<(), Error> {
    below(backend, &format!("{SLOTS}{digit}"), show).await
}

async fn below(
    backend: &RdsBackend,
    begin: &str,
    show: &mut (dyn FnMut(Entry) + Send),
) -> Result<(), Error> {
    let count = count(backend, begin).await?;
    for prefix in prefixes(begin, depth(count)) {
        let mut entries = page(backend, &prefix).await?;
        entries.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        entries.into_iter().for_each(&mut *show);
    }
    Ok(())
}

async fn count(backend: &RdsBackend, begin: &str) -> Result<u64, Error> {
    let line = line("count", Read::DiskCount(prefix(begin)?), backend)?;
    let answer = backend.send(&line, begin).await?;
    answer
        .count(0)
        .map_err(|error| failure::unreadable(&line, error))
}

async fn page(backend: &RdsBackend, begin: &str) -> Result<Vec<Entry>, Error> {
    let line = line("list", Read::Disks(prefix(begin)?), backend)?;
    let answer = backend.send(&line, begin).await?;
    let disks = answer
        .disks(0)
        .map_err(|error| failure::unreadable(&line, error))?;
    Ok(disks.into_iter().filter_map(convert::to_entry).collect())
}

/// How many digits to cut by so that a page of evenly spread slots stays below the limit.
fn depth(count: u64) -> usize {
    (0..MAX_DEPTH)
        .find(|depth| count >> (4 * depth) <= PAGE)
        .unwrap_or(MAX_DEPTH)
}

fn prefixes(begin: &str, depth: usize) -> Vec<String> {
    (0..depth).fold(vec![begin.to_owned()], |begins, _| {
        begins
            .iter()
            .flat_map(|begin| (0..16).map(move |digit| format!("{begin}{digit:x}")))
            .collect()
    })
}

/// Room in the pool that holds `directory`: its first part is the pool's mount point.
pub(super) async fn space(backend: &RdsBackend, directory: &Directory) -> Result<PoolSpace, Error> {
    let pool = directory.pool();
    let mount = MountPoint::new(pool).map_err(failure::unsendable)?;
    let line = line("capacity", Read::Pool(mount), backend)?;
    let answer = backend.send(&line, pool).await?;
    let disk = answer
        .disk(0)
        .map_err(|error| failure::unreadable(&line, error))?;
    match disk {
        Some(disk) if disk.free.is_some() => Ok(PoolSpace {
            total: disk.size,
            free: disk.free.unwrap_or_default(),
        }),
        Some(_) | None => Err(Error::new(
            Kind::Misconfigured,
            format!(
                "the RDS has no mounted pool {pool:?}; compare --rds-volume-base-path with /disk print detail"
            ),
        )),
    }
}

fn line(verb: &'static str, read: Read, backend: &RdsBackend) -> Result<Line, Error> {
    Line::read(verb, &[read], backend.device.form()).map_err(failure::unsendable)
}

fn prefix(text: &str) -> Result<Prefix, Error> {
    Prefix::new(text).map_err(failure::unsendable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_every_slot_once_and_stay_small() {
        for (count, pages) in [(0, 1), (1_000, 1), (1_001, 16), (10_000, 16), (20_000, 256)] {
            let begins = prefixes(SLOTS, depth(count));
            assert_eq!(begins.len(), pages, "{count}");
            for slot in ["csi-0000", "csi-ffff", "csi-a1b2"] {
                let holding = begins
                    .iter()
                    .filter(|begin| slot.starts_with(begin.as_str()));
                assert_eq!(holding.count(), 1, "{slot} of {count}");
            }
        }
    }
}
