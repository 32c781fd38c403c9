//! Shards: which part of the volumes a volume belongs to.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use crate::domain::id::VolumeId;

/// Ids are spread by one hex digit, so a seventeenth shard would own none.
const MOST: u8 = 16;

/// How many shards there are: 1 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardCount(NonZeroU8);

/// One of the shards.
///
/// Digit `d` belongs to shard `d` modulo their number. The backend lists volumes in pages by the
/// beginning of their ids, so the volumes of a shard are whole pages: a pass over one shard reads
/// nothing of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    index: u8,
    step: NonZeroU8,
}

/// A number of shards that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a whole number from 1 to {MOST}: volumes are spread by the first digit of their ids"
)]
pub struct BadShardCount;

// === impl ShardCount ===

impl ShardCount {
    /// So many shards.
    ///
    /// # Errors
    /// If it is not from 1 to 16.
    pub fn new(count: u8) -> Result<Self, BadShardCount> {
        NonZeroU8::new(count)
            .filter(|count| count.get() <= MOST)
            .map(Self)
            .ok_or(BadShardCount)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0.get()
    }

    /// Every shard, in order of its index.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.get()).map(move |index| Shard {
            index,
            step: self.0,
        })
    }
}

impl Default for ShardCount {
    /// One per digit.
    fn default() -> Self {
        Self(NonZeroU8::MIN.saturating_add(MOST - 1))
    }
}

impl FromStr for ShardCount {
    type Err = BadShardCount;

    fn from_str(raw: &str) -> Result<Self, BadShardCount> {
        Self::new(raw.parse().map_err(|_| BadShardCount)?)
    }
}

impl fmt::Display for ShardCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

// === impl Shard ===

impl Shard {
    /// The shard of a volume. `csi-` ids are hashes, and of a legacy id the uuid is random: their
    /// first digits are spread evenly.
    pub fn of(id: &VolumeId, count: ShardCount) -> Self {
        // Every id is a prefix, a hyphen and then a hex digit.
        let digit = id
            .as_str()
            .split_once('-')
            .and_then(|(_, digits)| digits.chars().next())
            .and_then(|first| first.to_digit(u32::from(MOST)))
            .and_then(|digit| u8::try_from(digit).ok())
            .unwrap_or_default();
        Self {
            index: digit % count.0,
            step: count.0,
        }
    }

    /// Its number, from 0.
    pub fn index(self) -> u8 {
        self.index
    }

    /// The hex digits that the ids of its volumes begin with.
    pub fn digits(self) -> impl Iterator<Item = char> {
        (self.index..MOST)
            .step_by(usize::from(self.step.get()))
            .filter_map(|digit| char::from_digit(u32::from(digit), u32::from(MOST)))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_belongs_to_exactly_one_shard_and_volumes_to_the_shard_of_their_digit() {
        for count in (1..=MOST).map(|count| ShardCount::new(count).unwrap()) {
            let mut owned: Vec<char> = count.all().flat_map(Shard::digits).collect();
            owned.sort_unstable();
            assert_eq!(owned.iter().collect::<String>(), "0123456789abcdef");
            assert_eq!(count.all().count(), usize::from(count.get()));
            for shard in count.all() {
                for digit in shard.digits() {
                    for id in [
                        format!("csi-{digit}123456789abcdef0123456789ab"),
                        format!("pvc-{digit}2f0d924-eb9f-4a5f-a323-112802392ace"),
                    ] {
                        assert_eq!(Shard::of(&id.parse().unwrap(), count), shard, "{id}");
                    }
                }
            }
        }
    }

    #[test]
    fn shards_of_one_count_differ_by_at_most_one_digit() {
        for count in (1..=MOST).map(|count| ShardCount::new(count).unwrap()) {
            let sizes: Vec<usize> = count.all().map(|shard| shard.digits().count()).collect();
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(most - least <= 1, "{count}: {sizes:?}");
        }
    }

    #[test]
    fn counts_are_read_once_and_refused_with_their_limits() {
        let rows = [
            ("1", Some(1)),
            ("16", Some(16)),
            ("3", Some(3)),
            ("0", None),
            ("17", None),
            ("256", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("many", None),
        ];
        for (raw, expected) in rows {
            let got = raw.parse::<ShardCount>();
            assert_eq!(got.map(ShardCount::get).ok(), expected, "{raw:?}");
        }
        let refused = "0".parse::<ShardCount>().unwrap_err().to_string();
        assert!(refused.contains("from 1 to 16"), "{refused}");
        assert_eq!(ShardCount::default().to_string(), "16");
    }
}
