//! What each representative values file installs, word for word.
//!
//! After a change that is meant, `RDS_CSI_WRITE_SNAPSHOTS=1 cargo test --test chart` writes the
//! snapshots anew; `git diff` then shows what the change does to an installation.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::helm::{Helm, cases, read, repository};

const WRITE: &str = "RDS_CSI_WRITE_SNAPSHOTS";

/// Nothing, every value there is, and installations as people have them between the two.
const CASES: usize = 6;

#[test]
fn lint_has_nothing_to_object_to() {
    let Some(helm) = Helm::find("lint_has_nothing_to_object_to") else {
        return;
    };
    for case in cases() {
        assert_eq!(helm.lint(&case), Ok(()), "{case}");
    }
}

#[test]
fn each_values_file_renders_what_was_agreed() {
    let Some(helm) = Helm::find("each_values_file_renders_what_was_agreed") else {
        return;
    };
    assert_eq!(cases().len(), CASES, "{:?}", cases());
    for case in cases() {
        let rendered = helm.render(&case).text;
        let path = format!("tests/chart/snapshots/{case}.yaml");
        if std::env::var_os(WRITE).is_some() {
            fs::write(repository(&path), &rendered).expect("the checkout can be written");
        }
        let agreed = read(&path);
        assert!(
            rendered == agreed,
            "{path}: {}",
            difference(&agreed, &rendered)
        );
    }
}

/// The first line that differs. Two hundred lines of two texts hide it.
fn difference(agreed: &str, rendered: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (agreed, rendered) = (lines(agreed), lines(rendered));
    let same = agreed.iter().zip(&rendered).take_while(|(a, b)| a == b);
    let number = same.count();
    let line = |of: &[String]| of.get(number).cloned().unwrap_or_default();
    format!(
        "line {} is {:?}, it was {:?}; if that is meant, set {WRITE}=1",
        number + 1,
        line(&rendered),
        line(&agreed)
    )
}

/// The paths of all values below one; a list or an empty map counts as one value.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => {
            for (key, inside) in map {
                leaves(inside, &format!("{path}/{key}"), found);
            }
        }
        None => drop(found.insert(path.to_owned())),
    }
}

fn leaves_of(path: &str) -> BTreeSet<String> {
    let values: Value =
        serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut found = BTreeSet::new();
    leaves(&values, "", &mut found);
    found
}

#[test]
fn no_value_is_without_a_case_that_sets_it() {
    let cases = cases().into_iter();
    let set: BTreeSet<String> = cases
        .flat_map(|case| leaves_of(&format!("tests/chart/values/{case}.yaml")))
        .collect();
    let all = leaves_of("helm/rds-csi/values.yaml");
    // A map that is empty by default is set by a key below it.
    let is_set = |value: &&String| {
        set.iter()
            .any(|path| path == *value || path.starts_with(&format!("{value}/")))
    };
    let never: Vec<_> = all.iter().filter(|value| !is_set(value)).collect();
    assert!(
        never.is_empty(),
        "no file in tests/chart/values sets {never:?}"
    );
    assert!(all.len() > 60, "{}", all.len());
}
