//! Versions are written down in several places and are the same in all of them.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::helm::{read, text};

/// The chart's sidecars, and the modules that their programs are built from.
const SIDECARS: [(&str, &str); 3] = [
    (
        "provisioner",
        "github.com/kubernetes-csi/external-provisioner/v6",
    ),
    ("attacher", "github.com/kubernetes-csi/external-attacher/v4"),
    ("resizer", "github.com/kubernetes-csi/external-resizer/v2"),
];

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The versions that the tools of the test bed are built from, by module.
fn built() -> BTreeMap<String, String> {
    let files = ["testbed/go.mod", "testbed/trace/go.mod"].map(read);
    let lines = files.iter().flat_map(|file| file.lines());
    let required = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let (module, version) = (words.next()?, words.next()?);
        // `module`, `go` and `replace` lines have no version in this place.
        let is_version = version.starts_with('v') && version.contains('.');
        is_version.then(|| (module.to_owned(), version.to_owned()))
    });
    required.collect()
}

/// The packages of the tools: lines of one word each, after `tool`.
fn tools() -> Vec<String> {
    let files = ["testbed/go.mod", "testbed/trace/go.mod"].map(read);
    let lines = files.iter().flat_map(|file| file.lines());
    let packages = lines.map(|line| line.trim().trim_start_matches("tool "));
    let packages = packages.filter(|line| line.contains('/') && !line.contains(' '));
    packages.map(str::to_owned).collect()
}

#[test]
fn chart_and_driver_have_one_version() {
    let chart = yaml("helm/rds-csi/Chart.yaml");
    for key in ["/version", "/appVersion"] {
        assert_eq!(text(&chart, key), env!("CARGO_PKG_VERSION"), "{key}");
    }
}

#[test]
fn the_chart_installs_the_sidecars_that_tests_run() {
    let (values, built) = (yaml("helm/rds-csi/values.yaml"), built());
    for (sidecar, module) in SIDECARS {
        let tag = text(&values, &format!("/sidecars/{sidecar}/image/tag"));
        assert_eq!(Some(tag), built.get(module).map(String::as_str), "{module}");
    }
}

#[test]
fn the_documented_versions_are_those_that_are_built() {
    let (page, built) = (read("docs/compatibility.md"), built());
    let mut documented = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ["", what, version, module, ..] = cells.as_slice() else {
            panic!("{row:?} has too few columns");
        };
        if *what != "what" {
            let module = module.trim_matches('`');
            let expected = built.get(module).map(String::as_str);
            assert_eq!(Some(*version), expected, "{what}, {module}");
            documented.push(module.to_owned());
        }
    }
    let packages = tools();
    assert!(packages.len() > 10, "{packages:?}");
    for package in packages {
        let is_inside = |module: &&String| package.starts_with(module.as_str());
        // The longest: one module may lie in the folder of another.
        let module = built
            .keys()
            .filter(is_inside)
            .max_by_key(|module| module.len());
        let module = module.unwrap_or_else(|| panic!("go.mod has no version for {package}"));
        assert!(documented.contains(module), "{package} is not documented");
    }
}

#[test]
fn the_documented_compilers_are_those_that_are_required() {
    let page = read("docs/compatibility.md");
    let go = read("testbed/go.mod");
    let go = go.lines().find_map(|line| line.strip_prefix("go "));
    let compilers = format!(
        "Rust {} and Go {}",
        env!("CARGO_PKG_RUST_VERSION"),
        go.expect("a go line")
    );
    assert!(
        page.contains(&compilers),
        "docs/compatibility.md does not say {compilers:?}"
    );
    let compiler = format!("library/rust:{}.", env!("CARGO_PKG_RUST_VERSION"));
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&compiler), "no {compiler:?}");
}

#[test]
fn the_driver_says_its_versions() {
    let version = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
        let output = command.arg("version").args(arguments).output();
        String::from_utf8(output.expect("the driver runs").stdout).expect("it prints text")
    };
    let (json, table) = (version(&["--json"]), version(&[]));
    let told: Value = serde_json::from_str(&json).expect("one JSON object");
    assert_eq!(text(&told, "/name"), "rds-csi");
    assert_eq!(text(&told, "/version"), env!("CARGO_PKG_VERSION"));
    let specification = "github.com/container-storage-interface/spec";
    let csi = format!("v{}", text(&told, "/csi"));
    assert_eq!(Some(&csi), built().get(specification));
    let rustc = text(&told, "/rustc");
    assert!(rustc.starts_with("rustc 1."), "{rustc}");
    let offered = told["capabilities"].as_array().expect("a list");
    for capability in ["CONTROLLER_SERVICE", "PUBLISH_UNPUBLISH_VOLUME"] {
        assert!(offered.contains(&capability.into()), "{json}");
    }
    for key in ["/name", "/version", "/commit", "/rustc", "/csi"] {
        let value = text(&told, key);
        assert!(table.contains(value), "{value} is not in {table}");
    }
}
