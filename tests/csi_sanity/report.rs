//! Ginkgo's JSON report, reduced to what a run has to say about each spec.

use serde::Deserialize;

/// One spec of the suite: where it stands and how it went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// The containers and the spec itself, joined with ` / `.
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// Skipped by itself, by our filter, or marked as pending in the suite.
    Skipped,
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    spec_reports: Vec<Report>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: Option<String>,
    location: Option<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    file_name: String,
    line_number: u64,
}

/// Every spec of a report, sorted by name. Set-up steps are left out unless they failed.
pub(crate) fn parse(text: &str) -> Vec<Spec> {
    let suites: Vec<Suite> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("not a ginkgo report: {error}"));
    let mut specs: Vec<Spec> = suites
        .into_iter()
        .flat_map(|suite| suite.spec_reports)
        .map(|report| (report.leaf_node_type == "It", spec(report)))
        .filter(|(is_spec, spec)| *is_spec || matches!(spec.outcome, Outcome::Failed(_)))
        .map(|(_, spec)| spec)
        .collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    specs
}

fn spec(report: Report) -> Spec {
    let mut parts = report.container_hierarchy_texts.unwrap_or_default();
    parts.push(report.leaf_node_text);
    let outcome = match report.state.as_str() {
        "passed" => Outcome::Passed,
        "skipped" | "pending" => Outcome::Skipped,
        state => Outcome::Failed(reason(state, report.failure)),
    };
    Spec {
        name: parts.join(" / "),
        outcome,
    }
}

fn reason(state: &str, failure: Option<Failure>) -> String {
    let Some(failure) = failure else {
        return state.to_owned();
    };
    let place = failure.location.map_or_else(String::new, |location| {
        let file = location
            .file_name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        format!(" at {file}:{}", location.line_number)
    });
    format!("{state}{place}: {}", failure.message.unwrap_or_default())
}

#[test]
fn a_report_keeps_every_spec_and_every_failure() {
    let text = r#"[{"SuiteDescription": "CSI", "SpecReports": [
        {"ContainerHierarchyTexts": null, "LeafNodeType": "BeforeSuite", "LeafNodeText": "",
         "State": "passed"},
        {"ContainerHierarchyTexts": null, "LeafNodeType": "AfterSuite", "LeafNodeText": "end",
         "State": "panicked"},
        {"ContainerHierarchyTexts": ["A", "B"], "LeafNodeType": "It", "LeafNodeText": "fails",
         "State": "failed", "Failure": {"Message": "no", "Location":
         {"FileName": "/go/pkg/sanity/controller.go", "LineNumber": 7}}},
        {"ContainerHierarchyTexts": ["A"], "LeafNodeType": "It", "LeafNodeText": "not offered",
         "State": "skipped", "Failure": {"Message": "not supported"}},
        {"ContainerHierarchyTexts": ["A"], "LeafNodeType": "It", "LeafNodeText": "later",
         "State": "pending"},
        {"ContainerHierarchyTexts": ["A"], "LeafNodeType": "It", "LeafNodeText": "works",
         "State": "passed"}
    ]}]"#;
    let spec = |name: &str, outcome| Spec {
        name: name.to_owned(),
        outcome,
    };
    assert_eq!(
        parse(text),
        [
            spec(
                "A / B / fails",
                Outcome::Failed("failed at controller.go:7: no".to_owned())
            ),
            spec("A / later", Outcome::Skipped),
            spec("A / not offered", Outcome::Skipped),
            spec("A / works", Outcome::Passed),
            spec("end", Outcome::Failed("panicked".to_owned())),
        ]
    );
}
