//! The complete reply of a line, one part for every read it made.

use std::time::Duration;

use crate::rds::command::{Menu, Query, ReadForm, Section};
use crate::rds::entry::DiskEntry;
use crate::rds::error::{ReadError, excerpt};
use crate::rds::file::FileEntry;
use crate::rds::record::{Record, whole_number};
use crate::rds::version::{Version, parse_uptime};
use crate::rds::{json, text};

/// The texts of the reads of a line, in the order in which the line makes them.
#[derive(Clone, Debug)]
pub struct Answer {
    reads: Vec<(Query, String)>,
}

impl Answer {
    pub(super) fn new(sections: &[Section], texts: &[&str]) -> Self {
        let both = sections.iter().zip(texts);
        let reads = both.filter_map(|(section, text)| match section {
            Section::Silent(_) => None,
            Section::Read(query) => Some((query.clone(), (*text).to_owned())),
        });
        Self {
            reads: reads.collect(),
        }
    }

    /// The disk entries that read `index` listed.
    pub fn disks(&self, index: usize) -> Result<Vec<DiskEntry>, ReadError> {
        self.records(index, Menu::Disk, "disks")?
            .iter()
            .map(DiskEntry::try_from)
            .collect()
    }

    /// The one disk entry that read `index` listed, or none.
    pub fn disk(&self, index: usize) -> Result<Option<DiskEntry>, ReadError> {
        let mut disks = self.disks(index)?;
        if disks.len() > 1 {
            return Err(ReadError::Several { count: disks.len() });
        }
        Ok(disks.pop())
    }

    /// The files that read `index` listed.
    pub fn files(&self, index: usize) -> Result<Vec<FileEntry>, ReadError> {
        self.records(index, Menu::File, "files")?
            .iter()
            .map(FileEntry::try_from)
            .collect()
    }

    /// The count that read `index` answered.
    pub fn count(&self, index: usize) -> Result<u64, ReadError> {
        let counted = |query: &Query| matches!(query, Query::CountDisks { .. });
        let text = self.find(index, "counts", counted)?.1.trim();
        scalar(text, whole_number(text), "a count")
    }

    /// The RouterOS version that read `index` answered.
    pub fn version(&self, index: usize) -> Result<Version, ReadError> {
        let text = self.value(index, "version")?;
        scalar(text, Version::parse(text), "a RouterOS version")
    }

    /// The time since start that read `index` answered.
    pub fn uptime(&self, index: usize) -> Result<Duration, ReadError> {
        let text = self.value(index, "uptime")?;
        scalar(text, parse_uptime(text), "a duration")
    }

    /// The device's name that read `index` answered.
    pub fn identity(&self, index: usize) -> Result<String, ReadError> {
        Ok(self.value(index, "name")?.to_owned())
    }

    fn records(
        &self,
        index: usize,
        menu: Menu,
        wanted: &'static str,
    ) -> Result<Vec<Record>, ReadError> {
        let listed = |query: &Query| matches!(query, Query::List { menu: of, .. } if *of == menu);
        match self.find(index, wanted, listed)? {
            (
                Query::List {
                    form: ReadForm::Json,
                    ..
                },
                listing,
            ) => json::read(listing),
            (_, listing) => text::read(listing),
        }
    }

    /// A value on one line. A name may begin or end with blanks, which are kept.
    fn value(&self, index: usize, wanted: &'static str) -> Result<&str, ReadError> {
        let got = |query: &Query| matches!(query, Query::Get { key, .. } if *key == wanted);
        let (_, text) = self.find(index, wanted, got)?;
        Ok(text.trim_end_matches('\n'))
    }

    fn find(
        &self,
        index: usize,
        wanted: &'static str,
        fits: impl Fn(&Query) -> bool,
    ) -> Result<&(Query, String), ReadError> {
        let read = self.reads.get(index).filter(|(query, _)| fits(query));
        read.ok_or(ReadError::NoSuchRead { index, wanted })
    }
}

fn scalar<T>(text: &str, value: Option<T>, expected: &'static str) -> Result<T, ReadError> {
    value.ok_or_else(|| ReadError::Scalar {
        text: excerpt(text),
        expected,
    })
}
