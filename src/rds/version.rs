//! RouterOS version and uptime, as the device prints them.

use std::fmt;
use std::time::Duration;

/// First version with `:serialize`.
const SERIALIZE: (u32, u32) = (7, 13);

/// A RouterOS version; later ones are greater, and a release is greater than its betas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha(u32),
    Beta(u32),
    Candidate(u32),
    Release,
}

impl Version {
    /// Reads `7.16 (stable)`, `7.20.8`, `7.24beta2`.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_whitespace().next()?;
        let end = word
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(word.len());
        let (numbers, stage) = word.split_at_checked(end)?;
        let mut parts = numbers.split('.').map(number);
        let major = parts.next()??;
        let minor = parts.next()??;
        let patch = parts.next().unwrap_or(Some(0))?;
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            major,
            minor,
            patch,
            stage: Stage::parse(stage)?,
        })
    }

    /// Whether listings can be asked for as JSON. Betas of the first such version are not trusted.
    pub fn supports_serialize(self) -> bool {
        let (major, minor) = SERIALIZE;
        self >= Self {
            major,
            minor,
            patch: 0,
            stage: Stage::Release,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 {
            write!(f, ".{}", self.patch)?;
        }
        match self.stage {
            Stage::Alpha(n) => write!(f, "alpha{n}"),
            Stage::Beta(n) => write!(f, "beta{n}"),
            Stage::Candidate(n) => write!(f, "rc{n}"),
            Stage::Release => Ok(()),
        }
    }
}

impl Stage {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Release);
        }
        let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let count = number(text.get(name.len()..)?)?;
        match name {
            "alpha" => Some(Self::Alpha(count)),
            "beta" => Some(Self::Beta(count)),
            "rc" => Some(Self::Candidate(count)),
            _ => None,
        }
    }
}

/// Reads an uptime such as `1w2d3h4m5s`, `48s149ms`, `00:00:15` or `2d03:04:05`.
pub fn parse_uptime(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        if rest.contains(':') && !rest.contains(|c: char| c.is_ascii_alphabetic()) {
            return total.checked_add(clock(rest)?);
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, after) = rest.split_at_checked(digits)?;
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        total = total.checked_add(unit_length(unit)?.checked_mul(number(count)?)?)?;
        rest = after;
    }
    Some(total)
}

fn unit_length(unit: &str) -> Option<Duration> {
    Some(match unit {
        "w" => Duration::from_hours(7 * 24),
        "d" => Duration::from_hours(24),
        "h" => Duration::from_hours(1),
        "m" => Duration::from_mins(1),
        "s" => Duration::from_secs(1),
        "ms" => Duration::from_millis(1),
        _ => return None,
    })
}

/// Reads `hh:mm:ss`.
fn clock(text: &str) -> Option<Duration> {
    let mut parts = text.split(':').map(number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let valid = parts.next().is_none() && minutes < 60 && seconds < 60;
    let seconds = u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds);
    valid.then(|| Duration::from_secs(seconds))
}

fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_shown_without_their_channel() {
        for (text, shown) in [
            ("7.16 (stable)", "7.16"),
            ("7.16.1 (stable)", "7.16.1"),
            ("7.20.8", "7.20.8"),
            ("7.24beta2", "7.24beta2"),
            ("7.17rc6 (testing)", "7.17rc6"),
            ("7.20alpha177 (development)\n", "7.20alpha177"),
        ] {
            assert_eq!(Version::parse(text).unwrap().to_string(), shown, "{text:?}");
        }
        for bad in [
            "",
            "7",
            "7.x",
            "seven",
            "7.1.2.3",
            "7.16+1",
            "7.16gamma1",
            "7..1",
            "7.16beta",
        ] {
            assert_eq!(Version::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_release() {
        let ordered = [
            "6.49.10",
            "7.9",
            "7.16alpha1",
            "7.16beta2",
            "7.16rc1",
            "7.16",
            "7.16.1",
            "7.20",
        ];
        let versions: Vec<_> = ordered
            .iter()
            .map(|text| Version::parse(text).unwrap())
            .collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    }

    #[test]
    fn json_is_asked_for_from_7_13_on() {
        for (text, supported) in [
            ("7.12.2", false),
            ("7.13beta1", false),
            ("7.13", true),
            ("7.24beta2", true),
            ("6.99", false),
        ] {
            assert_eq!(
                Version::parse(text).unwrap().supports_serialize(),
                supported,
                "{text}"
            );
        }
    }

    #[test]
    fn uptime_forms_are_read() {
        for (text, seconds) in [
            ("1w2d3h4m5s", 604_800 + 2 * 86_400 + 3 * 3600 + 4 * 60 + 5),
            ("00:00:15", 15),
            ("2d03:04:05", 2 * 86_400 + 3 * 3600 + 4 * 60 + 5),
            ("5s\r\n", 5),
            ("1w2d3h4m", 604_800 + 2 * 86_400 + 3 * 3600 + 4 * 60),
        ] {
            assert_eq!(
                parse_uptime(text),
                Some(Duration::from_secs(seconds)),
                "{text:?}"
            );
        }
        assert_eq!(
            parse_uptime("48s149ms"),
            Some(Duration::from_millis(48_149))
        );
        for bad in [
            "",
            "5",
            "s",
            "1y",
            "00:99:00",
            "1:2",
            "1d-2h",
            "99999999999s",
            "1:2:3:4",
        ] {
            assert_eq!(parse_uptime(bad), None, "{bad:?}");
        }
    }
}
