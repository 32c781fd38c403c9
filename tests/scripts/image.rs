//! `testbed/image.sh` with a stand-in for Buildah: what it builds, how often, and what it leaves behind.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::bench::{Bench, stdout};

/// Notes what it is asked for as a line in a log; `push` writes an archive.
const FAKE_BUILDAH: &str = r#"#!/bin/sh
for word; do last=$word; done
case " $* " in *" push "*)
    archive=${last#docker-archive:}
    [ -n "$FAKE_BUILDAH_FAILS" ] || echo image >"${archive%%:*}" ;;
esac
echo "$*" >>"$FAKE_BUILDAH_LOG"
[ -z "$FAKE_BUILDAH_FAILS" ]
"#;

/// What the script exits with where images cannot be built at all.
const NOT_HERE: i32 = 3;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.executable("path/buildah", FAKE_BUILDAH);
    bench.executable("path/cargo", "#!/bin/sh\n");
    bench
}

fn run(bench: &Bench, fails: &str) -> Output {
    let mut command = bench.script("testbed/image.sh");
    command
        .env("RDS_CSI_IMAGE_CACHE", bench.path("cache"))
        .env("FAKE_BUILDAH_LOG", bench.path("log"))
        .env("FAKE_BUILDAH_FAILS", fails);
    command.output().expect("bash runs")
}

/// How often Buildah was asked for the driver's image.
fn builds(bench: &Bench) -> usize {
    let log = fs::read_to_string(bench.path("log")).unwrap_or_default();
    log.lines()
        .filter(|line| line.contains("--target controller"))
        .count()
}

/// Who is not root cannot build, and is told so: there is nothing else to look at then.
fn can_build() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let output = run(&bench(), "");
    assert_eq!(output.status.code(), Some(NOT_HERE), "{output:?}");
    false
}

#[test]
fn an_image_is_built_once() {
    if !can_build() {
        return;
    }
    let bench = bench();
    for _ in 0..2 {
        let output = run(&bench, "");
        assert!(output.status.success(), "{output:?}");
        let archive = stdout(&output);
        assert!(Path::new(archive).is_file(), "{archive}");
    }
    assert_eq!(builds(&bench), 1);
}

#[test]
fn an_image_that_failed_is_built_again_and_leaves_nothing_behind() {
    if !can_build() {
        return;
    }
    let bench = bench();
    let output = run(&bench, "yes");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let left = fs::read_dir(bench.path("cache")).expect("a cache");
    let left: Vec<_> = left
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(!left.iter().any(|name| name == "unfinished"), "{left:?}");
    let output = run(&bench, "");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(builds(&bench), 1);
}
