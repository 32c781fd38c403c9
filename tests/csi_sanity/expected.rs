//! Which specs of csi-sanity do not run against this driver, and why. A spec that is skipped without
//! a row here fails the test, and so does a row whose specs run after all.

use super::report::{Outcome, Spec};

/// Left out by a filter: what answers as the node in this test is a stand-in.
pub(crate) const NODE_SERVICE: &str = "Node Service";

/// A spec by its name, or a group of specs by the containers they share; and the reason.
struct Row {
    name: &'static str,
    reason: &'static str,
}

const fn row(name: &'static str, reason: &'static str) -> Row {
    Row { name, reason }
}

const NO_GROUPS: &str = "group snapshots are not offered";
const NO_MODIFY: &str = "a volume has no parameter that can be changed later";
const NO_SNAPSHOTS: &str = "snapshots are not offered";
const NO_CLONES: &str = "volumes are not cloned";

const ROWS: [Row; 16] = [
    row(
        NODE_SERVICE,
        "the node in this test is a stand-in that only tells its name",
    ),
    row("CreateSnapshot [Controller Server]", NO_SNAPSHOTS),
    row("DeleteSnapshot [Controller Server]", NO_SNAPSHOTS),
    row("ListSnapshots [Controller Server]", NO_SNAPSHOTS),
    row(
        "Controller Service [Controller Server] / CreateVolume / \
         should create volume from an existing source snapshot",
        NO_SNAPSHOTS,
    ),
    row(
        "Controller Service [Controller Server] / CreateVolume / \
         should fail when the volume source snapshot is not found",
        NO_SNAPSHOTS,
    ),
    row(
        "Controller Service [Controller Server] / CreateVolume / \
         should create volume from an existing source volume",
        NO_CLONES,
    ),
    row(
        "Controller Service [Controller Server] / CreateVolume / \
         should fail when the volume source volume is not found",
        NO_CLONES,
    ),
    row("ModifyVolume [Controller Server]", NO_MODIFY),
    row(
        "Controller Service [Controller Server] / CreateVolume / \
         should create volume with a volume attribute class",
        NO_MODIFY,
    ),
    row(
        "Controller Service [Controller Server] / CreateVolume / \
         should not create volume with an invalid volume attribute class",
        NO_MODIFY,
    ),
    row(
        "Controller Service [Controller Server] / ControllerPublishVolume / \
         should fail when publishing more volumes than the node max attach limit",
        "the number of NVMe/TCP volumes of a node has no limit to run into",
    ),
    row(
        "Controller Service [Controller Server] / ControllerPublishVolume / \
         should fail when the volume is already published but is incompatible",
        "the RDS cannot export read-only, so PUBLISH_READONLY is not offered",
    ),
    row(
        "Controller Service [Controller Server] / ListVolumes / \
         pagination should detect volumes added between pages and accept tokens when the last \
         volume from a page is deleted",
        "marked as pending in csi-sanity itself",
    ),
    row(
        "GroupController Service [GroupController Server]",
        NO_GROUPS,
    ),
    row(
        "GroupController Service [GroupController VolumeGroupSnapshots]",
        NO_GROUPS,
    ),
];

/// Why a spec is expected to be skipped.
pub(crate) fn reason(spec: &str) -> Option<&'static str> {
    ROWS.iter()
        .find(|row| covers(row, spec))
        .map(|row| row.reason)
}

fn covers(row: &Row, spec: &str) -> bool {
    spec.strip_prefix(row.name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" / "))
}

/// What a run shows that it should not.
pub(crate) fn compare(specs: &[Spec]) -> Vec<String> {
    let of_specs = specs
        .iter()
        .filter_map(|spec| match (&spec.outcome, reason(&spec.name)) {
            (Outcome::Failed(why), _) => Some(format!("{}: {why}", spec.name)),
            (Outcome::Skipped, None) => {
                Some(format!("{}: skipped, and no row says why", spec.name))
            }
            (Outcome::Passed, Some(why)) => {
                Some(format!("{}: runs, but its row says: {why}", spec.name))
            }
            (Outcome::Skipped, Some(_)) | (Outcome::Passed, None) => None,
        });
    let of_rows = ROWS
        .iter()
        .filter(|row| !specs.iter().any(|spec| covers(row, &spec.name)))
        .map(|row| format!("{}: csi-sanity has no such spec", row.name));
    of_specs.chain(of_rows).collect()
}

#[test]
fn a_run_that_differs_from_the_table_is_found() {
    let spec = |name: &str, outcome| Spec {
        name: name.to_owned(),
        outcome,
    };
    let complete = || -> Vec<Spec> {
        ROWS.iter()
            .map(|row| spec(&format!("{} / it", row.name), Outcome::Skipped))
            .collect()
    };
    let with = |name: &str, outcome| {
        let mut specs = complete();
        specs.push(spec(name, outcome));
        specs
    };
    let rows = [
        (complete(), ""),
        (with("Identity Service / Probe / it", Outcome::Passed), ""),
        (
            with("Identity Service / Probe / it", Outcome::Skipped),
            "no row says why",
        ),
        (
            with(
                "Identity Service / Probe / it",
                Outcome::Failed("no".into()),
            ),
            "Probe / it: no",
        ),
        (
            with("ModifyVolume [Controller Server] / it too", Outcome::Passed),
            "its row says",
        ),
        (
            complete().into_iter().skip(1).collect(),
            "Node Service: csi-sanity has no such spec",
        ),
        (Vec::new(), "no such spec"),
    ];
    for (specs, expected) in rows {
        let findings = compare(&specs).join("\n");
        assert!(findings.contains(expected), "{expected}: {findings}");
        assert_eq!(findings.is_empty(), expected.is_empty(), "{findings}");
    }
}

#[test]
fn the_documentation_names_every_row_and_its_reason() {
    let page = include_str!("../../docs/conformance.md");
    for row in &ROWS {
        let line = format!("| `{}` | {} |", row.name, row.reason);
        assert!(
            page.lines().any(|found| found == line),
            "docs/conformance.md lacks the line\n{line}"
        );
    }
    let documented = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        documented,
        ROWS.len(),
        "docs/conformance.md has rows that the test does not know"
    );
}
