//! What the tests of a binary measured and saw, as one table at the end.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of all tests. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Summary(Arc<Mutex<Vec<Row>>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    test: String,
    place: usize,
    what: String,
    value: String,
}

// === impl Summary ===

impl Summary {
    /// Adds a row: in which test, what, and how much of it.
    pub fn add(&self, test: &str, what: impl Into<String>, value: impl fmt::Display) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = rows.len();
        rows.push(Row {
            test: test.to_owned(),
            place,
            what: what.into(),
            value: value.to_string(),
        });
    }
}

impl fmt::Display for Summary {
    /// The name of a test reads as the sentence it is; its rows stand together, in the order in which they came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        rows.sort();
        let width = rows
            .iter()
            .map(|row| row.what.chars().count())
            .max()
            .unwrap_or(0);
        let mut last = None;
        for row in &rows {
            if last != Some(&row.test) {
                let gap = if last.is_some() { "\n" } else { "" };
                writeln!(f, "{gap}{}", row.test.replace("::", ": ").replace('_', " "))?;
                last = Some(&row.test);
            }
            // Values of several lines (what kubectl printed) keep their columns.
            let value = row
                .value
                .trim_end()
                .replace('\n', &format!("\n    {:width$}  ", ""));
            writeln!(f, "    {:width$}  {value}", row.what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_test_stand_together() {
        let summary = Summary::default();
        summary.add("b", "one", 1);
        summary.add("a::is_so", "longer", "x\ny");
        summary.add("b", "two", 2);
        let expected =
            "a: is so\n    longer  x\n            y\n\nb\n    one     1\n    two     2\n";
        assert_eq!(summary.to_string(), expected);
    }
}
