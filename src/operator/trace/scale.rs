//! Times as they are written beside a span, and the marks of a time axis.

/// Marks of an axis: about this many, so that their labels have room.
const MARKS: u64 = 6;

/// A time in microseconds, in the unit that fits.
pub(super) fn time(micros: u64) -> String {
    let (whole, unit, size) = match micros {
        0 => return "0".to_owned(),
        1..1_000 => return format!("{micros} µs"),
        1_000..1_000_000 => (micros, "ms", 1_000),
        _ => (micros / 1_000, "s", 1_000),
    };
    // Three digits are as many as anybody compares.
    let (before, after) = (whole / size, whole % size);
    match before {
        0..10 => trimmed(&format!("{before}.{:02}", after / 10), unit),
        10..100 => trimmed(&format!("{before}.{}", after / 100), unit),
        _ => format!("{before} {unit}"),
    }
}

fn trimmed(number: &str, unit: &str) -> String {
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number} {unit}")
}

/// Round times from 0 to at most `length`, in microseconds.
pub(super) fn marks(length: u64) -> Vec<u64> {
    let least = (length / MARKS).max(1);
    let mut size = 1_u64;
    let step = loop {
        let step = [1, 2, 5].map(|digit| size.saturating_mul(digit));
        if let Some(step) = step.into_iter().find(|step| *step >= least) {
            break step;
        }
        size = size.saturating_mul(10);
    };
    let count = length / step;
    (0..=count).map(|mark| mark * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_a_unit() {
        let rows = [
            (0, "0"),
            (7, "7 µs"),
            (999, "999 µs"),
            (1_000, "1 ms"),
            (1_234, "1.23 ms"),
            (12_345, "12.3 ms"),
            (20_000, "20 ms"),
            (123_456, "123 ms"),
            (1_000_000, "1 s"),
            (1_500_000, "1.5 s"),
            (61_234_567, "61.2 s"),
            (600_000_000, "600 s"),
        ];
        for (micros, expected) in rows {
            assert_eq!(time(micros), expected, "{micros}");
        }
    }

    #[test]
    fn an_axis_has_few_round_marks() {
        assert_eq!(marks(1), [0, 1]);
        assert_eq!(marks(23_456), [0, 5_000, 10_000, 15_000, 20_000]);
        assert_eq!(marks(60), [0, 10, 20, 30, 40, 50, 60]);
        for length in [1, 5, 6, 7, 99, 12_345, u64::MAX / 2, u64::MAX] {
            let marks = marks(length);
            assert!((2..=8).contains(&marks.len()), "{length}: {marks:?}");
            assert!(marks.iter().all(|mark| *mark <= length), "{length}");
        }
    }
}
