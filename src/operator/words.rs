//! Times as people say them.

use k8s_openapi::jiff::Timestamp;

use crate::admin::report::Decision;

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("min", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// A duration in its two largest units, or one where the rest is nothing.
pub(super) fn age(milliseconds: u64) -> String {
    let mut rest = milliseconds;
    let mut parts = Vec::new();
    for (unit, size) in UNITS {
        // Milliseconds say nothing beside minutes.
        if unit == "ms" && milliseconds >= 10_000 {
            break;
        }
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        }
        if parts.len() == 2 || (!parts.is_empty() && count == 0) {
            break;
        }
    }
    if parts.is_empty() {
        return "0 ms".to_owned();
    }
    parts.join(" ")
}

/// A moment in UTC.
pub(super) fn moment(unix_seconds: u64) -> String {
    let moment = i64::try_from(unix_seconds).ok();
    match moment.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        Some(moment) => moment.to_string(),
        None => format!("{unix_seconds} s after 1970"),
    }
}

/// A decision: what, when, and where to look it up.
pub(super) fn decided(decision: &Decision) -> String {
    let Decision {
        volume: _,
        operation,
        decided,
        age_ms,
        trace,
    } = decision;
    let told = format!("{operation}: {decided}, {} ago", age(*age_ms));
    match trace {
        Some(trace) => format!("{told}, trace {trace}"),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_two_units_at_most() {
        const HOUR: u64 = 3_600_000;
        let rows = [
            (0, "0 ms"),
            (850, "850 ms"),
            (1_000, "1 s"),
            (2_345, "2 s 345 ms"),
            (12_345, "12 s"),
            (185_000, "3 min 5 s"),
            (HOUR, "1 h"),
            (HOUR + 5_000, "1 h"),
            (49 * HOUR + 60_000, "2 d 1 h"),
        ];
        for (milliseconds, expected) in rows {
            assert_eq!(age(milliseconds), expected, "{milliseconds}");
        }
        assert!(age(u64::MAX).ends_with(" h"));
    }

    #[test]
    fn a_moment_is_in_utc_however_absurd() {
        assert_eq!(moment(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(moment(u64::MAX), format!("{} s after 1970", u64::MAX));
    }
}
