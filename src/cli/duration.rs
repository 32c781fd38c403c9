//! Durations as people write them: `500ms`, `10s`, `2m`, `1h`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number with a unit: 500ms, 10s, 2m or 1h")]
pub struct NotADuration;

/// Reads a whole number and its unit. A number alone is refused: in other programs it is seconds,
/// milliseconds or nanoseconds.
///
/// # Errors
/// [`NotADuration`], also for one too long to count in milliseconds.
pub fn parse(raw: &str) -> Result<Duration, NotADuration> {
    let end = raw
        .find(|c: char| !c.is_ascii_digit())
        .ok_or(NotADuration)?;
    let (digits, unit) = raw.split_at(end);
    let number: u64 = digits.parse().map_err(|_| NotADuration)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(NotADuration),
    };
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or(NotADuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (raw, milliseconds) in [
            ("0ms", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(raw), Ok(Duration::from_millis(milliseconds)), "{raw}");
        }
        let huge = format!("{}h", u64::MAX);
        for bad in [
            "", "10", "s", "ms", "-1s", "+1s", "1.5s", "1 s", "1d", "10S", "1m30s", "１s", &huge,
        ] {
            assert_eq!(parse(bad), Err(NotADuration), "{bad:?}");
        }
    }
}
