//! Who chooses gRPC codes.

use super::names::{Name, names};
use super::source::Source;

/// What `tonic::Status` offers besides `Code` to choose a code with.
const STATUS_MAKERS: [&str; 18] = [
    "aborted",
    "already_exists",
    "cancelled",
    "data_loss",
    "deadline_exceeded",
    "failed_precondition",
    "from_error",
    "internal",
    "invalid_argument",
    "new",
    "not_found",
    "ok",
    "out_of_range",
    "permission_denied",
    "resource_exhausted",
    "unavailable",
    "unimplemented",
    "unknown",
];

/// A gRPC code is a claim about the array; `csi/status.rs` is the only place that makes one.
pub(crate) fn check(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") || source.path == "src/csi/status.rs" {
        return Vec::new();
    }
    let chooses = |name: &Name| {
        name.windows(2).any(|pair| match pair {
            [before, code] if before == "tonic" && code == "Code" => true,
            [code, _] if code == "Code" => true,
            [status, maker] => status == "Status" && STATUS_MAKERS.contains(&maker.as_str()),
            _ => false,
        })
    };
    names(source)
        .all
        .iter()
        .filter(|name| chooses(name))
        .map(|name| {
            format!(
                "`{}` chooses a gRPC code outside csi/status.rs",
                name.join("::")
            )
        })
        .collect()
}

#[test]
fn a_code_chosen_elsewhere_is_found() {
    let rows = [
        ("src/csi/status.rs", "fn f() { tonic::Code::Ok; }", 0),
        ("src/csi/controller.rs", "use tonic::{Code, Status};", 1),
        ("src/csi/controller.rs", "fn f() { Code::Ok; }", 1),
        (
            "src/csi/controller.rs",
            "fn f() { assert_eq!(a, Code::Ok); }",
            1,
        ),
        (
            "src/csi/controller.rs",
            "fn f() { tonic::Status::not_found(a); }",
            1,
        ),
        (
            "src/csi/controller.rs",
            "fn f() -> Result<A, tonic::Status> { g() }",
            0,
        ),
        (
            "src/main.rs",
            "use std::process::ExitCode; fn f() { ExitCode::SUCCESS; }",
            0,
        ),
        ("tests/csi.rs", "fn f() { tonic::Code::Ok; }", 0),
    ];
    for (path, text, expected) in rows {
        let findings = check(&Source::parse(path, text));
        assert_eq!(findings.len(), expected, "{path}: {text}: {findings:?}");
    }
}
