//! The pod's record as it stands in the lock file: one block of text.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::election::{BootId, HolderId, PodRecord, Tenure};
use crate::domain::leadership::BootTime;

/// A holder has at most 128 bytes, a boot id 36, four times 20 each, and names and punctuation of
/// the fields 90: room for twice that. It is written as a whole, and no process dies between two
/// bytes of one write into one page.
pub(super) const SIZE: usize = 1024;

/// Milliseconds of CLOCK_BOOTTIME reach for half a billion years.
#[derive(Serialize, Deserialize)]
struct Block {
    boot: String,
    tenure: Option<Term>,
    short_cut_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Term {
    holder: String,
    began_ms: u64,
    renewed_ms: u64,
    until_ms: u64,
}

/// Exactly one block, or nothing if it is too long for one.
pub(super) fn write(record: &PodRecord) -> Option<Vec<u8>> {
    let block = Block {
        boot: record.boot.as_str().to_owned(),
        tenure: record.tenure.as_ref().map(|tenure| Term {
            holder: tenure.holder.as_str().to_owned(),
            began_ms: milliseconds(tenure.began),
            renewed_ms: milliseconds(tenure.renewed),
            until_ms: milliseconds(tenure.until),
        }),
        short_cut_ms: record.short_cut.map(milliseconds),
    };
    let mut text = serde_json::to_vec(&block).ok()?;
    // Blanks to the end, so that nothing of a longer record shows behind a shorter one.
    let blanks = SIZE.checked_sub(text.len() + 1)?;
    text.resize(text.len() + blanks, b' ');
    text.push(b'\n');
    Some(text)
}

/// What a file begins with, if that is a record. Anything else counts as no record at all: a short
/// cut is only ever taken on evidence.
pub(super) fn read(bytes: &[u8]) -> Option<PodRecord> {
    let Block {
        boot,
        tenure,
        short_cut_ms,
    } = serde_json::from_slice(bytes.get(..SIZE)?).ok()?;
    let tenure = match tenure {
        None => None,
        Some(Term {
            holder,
            began_ms,
            renewed_ms,
            until_ms,
        }) => Some(Tenure {
            holder: HolderId::from_record(&holder)?,
            began: moment(began_ms),
            renewed: moment(renewed_ms),
            until: moment(until_ms),
        }),
    };
    Some(PodRecord {
        boot: BootId::new(&boot)?,
        tenure,
        short_cut: short_cut_ms.map(moment),
    })
}

fn moment(milliseconds: u64) -> BootTime {
    BootTime::new(Duration::from_millis(milliseconds))
}

fn milliseconds(moment: BootTime) -> u64 {
    let since_boot = BootTime::new(Duration::ZERO).until(moment);
    u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str) -> PodRecord {
        PodRecord {
            boot: BootId::new("0f3c7c5e-6d2c-4c58-9d0a-2f8f0d9b7a11").unwrap(),
            tenure: Some(Tenure {
                holder: HolderId::from_record(holder).unwrap(),
                began: moment(u64::MAX - 2),
                renewed: moment(u64::MAX - 1),
                until: moment(u64::MAX),
            }),
            short_cut: Some(moment(u64::MAX)),
        }
    }

    #[test]
    fn every_record_fits_a_block_and_comes_back() {
        let longest = record(&"x".repeat(128));
        let none = PodRecord {
            tenure: None,
            short_cut: None,
            ..longest.clone()
        };
        for record in [longest, record("pod_uid_0000000000000001"), none] {
            let block = write(&record).unwrap();
            assert_eq!(block.len(), SIZE);
            assert_eq!(read(&block).as_ref(), Some(&record));
            let mut longer_file = block.clone();
            longer_file.extend_from_slice(b"rest");
            assert_eq!(read(&longer_file), Some(record), "what follows is not ours");
        }
        assert_eq!(write(&record(&"x".repeat(SIZE))), None);
    }

    #[test]
    fn what_cannot_be_read_is_no_record() {
        let block = write(&record("pod_uid_0000000000000001")).unwrap();
        let text = String::from_utf8(block.clone()).unwrap();
        let rows = [
            String::new(),
            " ".repeat(SIZE),
            "\0".repeat(SIZE),
            text.trim_end().to_owned(),
            text.replace("0f3c7c5e-6d2c-4c58-9d0a-2f8f0d9b7a11", ""),
            text.replace("pod_uid_0000000000000001", ""),
            text.replace("began_ms", "begun_ms"),
            text.replace("\"until_ms\":", "\"until_ms\":-"),
            text.replace('}', " "),
        ];
        for text in rows {
            let padded = format!("{text:<SIZE$}");
            let readable = read(text.as_bytes()).or_else(|| {
                // Short ones are no record even if they were padded, but for the one cut at its end.
                read(padded.as_bytes()).filter(|_| !block.starts_with(text.as_bytes()))
            });
            assert_eq!(readable, None, "{text}");
        }
    }
}
