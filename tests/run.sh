#!/usr/bin/env bash
# Every gate a change has to pass, in the order of how soon each can fail.
#
#   tests/run.sh
#
# Needs Rust. With Go as well, the tests against stock Kubernetes tools run too; without it they are
# skipped by name, or fail when CI=true. The last line is `N passed, N failed, N skipped`; the exit
# code is 0 only if nothing failed.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
exec </dev/null
export CARGO_TERM_COLOR=never

# What our scripts exit with when this machine cannot do what they are for at all.
NOT_HERE=3

# The tools of the test bed that tests ask for.
TOOLS=(csi-sanity etcd kube-apiserver kube-controller-manager kube-scheduler kubectl
    csi-attacher csi-provisioner csi-resizer helm
    kubelet containerd containerd-shim-runc-v2 ctr)

# What nothing here may print: every secret that a test uses has one of these in it.
MARKS=src/workload/secrets/marks.txt

log=$(mktemp) && all=$(mktemp) || exit 1
trap 'rm -f "$log" "$all"' EXIT

passed=0 failed=0 skipped=0
timings=()

# step NAME COMMAND...: runs one gate; leaves its exit code in $status.
step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee "$log" | tee -a "$all"
    status=${PIPESTATUS[0]}
    timings+=("$(printf '%6d s  %s (exit code %d)' $((SECONDS - start)) "$name" "$status")")
}

# gate NAME COMMAND...: a step that has no counts of its own.
gate() {
    step "$@"
    if ((status == 0)); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# Adds up what the tests said: cargo's `test result:` lines, the `csi-sanity:` lines with the specs
# of a run, and the `skipped:` lines of tests that returned early and that cargo took for passed.
count() {
    local p f s
    read -r p f s < <(awk '
        { sub(/\r$/, "") }
        /^test result: / { p += $4; f += $6; s += $8 }
        /^csi-sanity: [0-9]+ passed, / { p += $2; f += $4; s += $6 }
        /^skipped: / { p -= 1; s += 1 }
        END { print p + 0, f + 0, s + 0 }' "$log")
    # A build that fails, or a test process that dies, has no line that says so.
    if ((status != 0 && f == 0)); then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# Tests look for secrets in what processes log, post and answer; this is what they print themselves.
no_secrets() {
    local told
    told=$(grep -nFf "$MARKS" "$all")
    # 1 is that there is nothing; 2, that grep could not look.
    (($? == 1)) && return
    printf 'secrets were printed, or could not be looked for:\n%s\n' "$told"
    return 1
}

gate 'format' cargo fmt --check
gate 'clippy' cargo clippy --workspace --all-targets --locked -- -D warnings
# What a release image is built from: neither simulator nor demo.
gate 'release features' cargo check --no-default-features --locked
step 'dependencies' tests/deny.sh
if ((status == NOT_HERE)) && [[ ${CI:-} != true ]]; then
    skipped=$((skipped + 1))
elif ((status == 0)); then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
fi
gate 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

# Jaeger has a module of its own.
build_tools() {
    testbed/build.sh "${TOOLS[@]}" && testbed/build.sh jaeger
}

step 'tools of the test bed' build_tools
if ((status == NOT_HERE)) && [[ ${CI:-} != true ]]; then
    printf 'The tests that need these tools are skipped.\n'
elif ((status != 0)); then
    failed=$((failed + 1))
fi

# Most of what tests do is to wait: for a Lease to run out, for a connection to be given up.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}
step 'tests' cargo test --workspace --locked --no-fail-fast
count

gate 'no secret in any of this' no_secrets

# Said again where whoever reads the end of a long log finds it: cargo's lists of what failed and why.
failures=$(awk '/^ +Running / { of = $0 } /^failures:$/ { if (!on) print of; on = 1 } on
    /^test result: / { on = 0 }' "$all")
[[ -z $failures ]] || printf '\n== failures\n%s\n' "$failures"

printf '\n== timings\n'
printf '%s\n' "${timings[@]}"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
