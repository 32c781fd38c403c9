//! Sizes: exact bytes, rounded up to one quantum, compared as ranges.

use crate::domain::error::{Error, Kind};

/// Volumes are whole MiB, so that no unit of any tool in the chain can round them.
pub const QUANTUM: u64 = 1 << 20;
/// The smallest volume: one quantum.
pub const MIN_SIZE: u64 = QUANTUM;
/// What a request without a size gets.
pub const DEFAULT_SIZE: u64 = 1 << 30;
/// The largest volume, as in the Go driver: ext4 with 4 KiB blocks ends at 16 TiB.
pub const MAX_SIZE: u64 = 16 << 40;

/// `CapacityRange` of a request, checked: what may be allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    required: u64,
    limit: Option<u64>,
}

impl SizeRange {
    /// Reads `required_bytes` and `limit_bytes`, where 0 means "not given" (CSI, CapacityRange).
    ///
    /// # Errors
    /// `Invalid` for negative numbers, `OutOfRange` if no allowed size fits the range.
    pub fn from_request(required: i64, limit: i64) -> Result<Self, Error> {
        let read = |field: &str, value: i64| {
            u64::try_from(value).map_err(|_| {
                Error::invalid(format!("capacity_range.{field} is negative ({value})"))
            })
        };
        let required = read("required_bytes", required)?;
        let limit = Some(read("limit_bytes", limit)?).filter(|limit| *limit != 0);
        let range = Self { required, limit };
        let size = range.allocate();
        if size > MAX_SIZE {
            return Err(out_of_range(format!(
                "{required} bytes were asked for; the largest volume is {MAX_SIZE} bytes (16 TiB)"
            )));
        }
        if let Some(limit) = limit.filter(|limit| size > *limit) {
            return Err(out_of_range(format!(
                "no volume of at least {required} and at most {limit} bytes: sizes are whole MiB, and the smallest that fits is {size}"
            )));
        }
        Ok(range)
    }

    /// The size to allocate: the lower end, rounded up to the quantum. Without a lower end it is
    /// the default, or less where the limit asks for less.
    pub fn allocate(&self) -> u64 {
        if self.required == 0 {
            let most = self.limit.unwrap_or(DEFAULT_SIZE).min(DEFAULT_SIZE);
            return (most / QUANTUM * QUANTUM).max(MIN_SIZE);
        }
        self.required
            .div_ceil(QUANTUM)
            .saturating_mul(QUANTUM)
            .max(MIN_SIZE)
    }

    /// Whether a volume of `size` bytes satisfies the request.
    pub fn admits(&self, size: u64) -> bool {
        size >= self.required && self.limit.is_none_or(|limit| size <= limit)
    }

    /// The upper end, if one was given.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }
}

fn out_of_range(context: String) -> Error {
    Error::new(Kind::OutOfRange, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;
    const GIB: i64 = 1 << 30;
    const TIB: i64 = 1 << 40;

    #[test]
    fn a_range_gives_the_smallest_whole_mib_in_it_or_is_refused() {
        let rows: &[(i64, i64, Result<i64, Kind>)] = &[
            (0, 0, Ok(GIB)),
            (0, 10 * MIB, Ok(10 * MIB)),
            (0, 10 * MIB + 1, Ok(10 * MIB)),
            (0, 5 * GIB, Ok(GIB)),
            (0, 1, Err(Kind::OutOfRange)),
            (1, 0, Ok(MIB)),
            (1, 1, Err(Kind::OutOfRange)),
            (GIB, GIB, Ok(GIB)),
            (GIB + GIB / 2, 0, Ok(GIB + GIB / 2)),
            (10_000_000_000, 0, Ok(9537 * MIB)),
            (10_000_000_000, 10_000_000_000, Err(Kind::OutOfRange)),
            (GIB + 1, GIB + 2, Err(Kind::OutOfRange)),
            (2 * GIB, GIB, Err(Kind::OutOfRange)),
            (16 * TIB, 0, Ok(16 * TIB)),
            (16 * TIB + 1, 0, Err(Kind::OutOfRange)),
            (i64::MAX, 0, Err(Kind::OutOfRange)),
            (-1, 0, Err(Kind::Invalid)),
            (0, -1, Err(Kind::Invalid)),
        ];
        for (required, limit, expected) in rows {
            let got = SizeRange::from_request(*required, *limit)
                .map(|range| i64::try_from(range.allocate()).unwrap())
                .map_err(|error| error.kind());
            assert_eq!(&got, expected, "required {required} limit {limit}");
        }
    }

    #[test]
    fn an_existing_volume_is_measured_against_the_range_and_not_against_one_size() {
        let range = SizeRange::from_request(GIB, 2 * GIB).unwrap();
        for (size, fits) in [
            (GIB - 1, false),
            (GIB, true),
            (2 * GIB, true),
            (2 * GIB + 1, false),
        ] {
            assert_eq!(range.admits(u64::try_from(size).unwrap()), fits, "{size}");
        }
    }
}
