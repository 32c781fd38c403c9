#!/usr/bin/env bash
# Builds the driver's image from the Dockerfile without Docker and without a registry, and prints the
# path of a docker-archive that holds it as localhost/rds-csi:VERSION.
#
#   testbed/image.sh
#
#   RDS_CSI_IMAGE_CACHE    where to keep images and what was compiled
#                          (default: $XDG_CACHE_HOME or ~/.cache, then rds-csi/image)
#
# Needs root and Debian's buildah, which is installed if it is not there. The image that the Dockerfile
# begins with is stood in for by this machine's own compilers, mounted read-only. An image is built once
# per content of what goes in; after that a call takes some milliseconds. Any number of these may run at
# once. The exit code is 3 when this machine cannot build images at all, and 1 for everything else that
# goes wrong.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The longest wait for another build: a release from cold is about 10 minutes on two busy cores.
LOCK_SECONDS=1800
# To install buildah: 40 MB of packages at 1 MB/s, and as long again to set them up.
INSTALL_SECONDS=120

die() {
    printf 'testbed/image.sh: %s\n' "$*" >&2
    exit "${code:-1}"
}

if [[ -z ${RDS_CSI_IMAGE_CACHE:-} && -z ${XDG_CACHE_HOME:-} && -z ${HOME:-} ]]; then
    die 'set RDS_CSI_IMAGE_CACHE: there is no HOME to keep a cache in'
fi
cache=${RDS_CSI_IMAGE_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/rds-csi/image}

# What .dockerignore lets in, and what is done with it.
mapfile -t inputs < <(sed -n 's/^!//p' .dockerignore)
inputs+=(.dockerignore Dockerfile)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=localhost/rds-csi:$version

# The commit that last changed any of it: those since then make the same image.
commit=
[[ ! -e .git ]] || commit=$(git log -1 --format=%H -- "${inputs[@]}") || commit=
if [[ -z $commit ]]; then
    commit=unknown
elif [[ -n $(git status --porcelain -- "${inputs[@]}") ]]; then
    commit+=-dirty
fi

sysroot=$(rustc --print sysroot) || code=3 die 'there is no working rustc'
key=$({
    find "${inputs[@]}" testbed/image.sh -type f -print0 | sort -z | xargs -0 sha256sum
    printf '%s\n' "$commit" "$sysroot" "$(rustc --version)" "$(uname -m)"
} | sha256sum | cut -c 1-16)
archive=$cache/$key.tar

finish() {
    printf '%s\n' "$archive"
    exit
}

[[ ! -f $archive ]] || finish

((EUID == 0)) || code=3 die 'only root can build an image here'
[[ -d /usr/share/ca-certificates/mozilla ]] || code=3 die 'there is no Debian package ca-certificates'
[[ -f $(gcc -print-file-name=libc.a) ]] || code=3 die 'there is no libc.a: it is in libc6-dev'
if ! command -v buildah >/dev/null; then
    command -v apt-get >/dev/null || code=3 die 'there is neither buildah nor apt-get to install it with'
    printf 'testbed/image.sh: installing buildah\n' >&2
    export DEBIAN_FRONTEND=noninteractive
    lock=(-o "DPkg::Lock::Timeout=$INSTALL_SECONDS")
    { timeout "$INSTALL_SECONDS" apt-get "${lock[@]}" -qq update &&
        timeout "$INSTALL_SECONDS" apt-get "${lock[@]}" -qq install -y --no-install-recommends buildah; } \
        >&2 || code=3 die 'buildah cannot be installed'
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -w "$LOCK_SECONDS" 9 || die "another build has held $cache/lock for $LOCK_SECONDS s"
# The holder of the lock before us may have made it.
[[ ! -f $archive ]] || finish

# Only the holder of the lock has these: what a killed build left behind is replaced here. What is
# compiled is kept by buildah in a folder of its own below TMPDIR.
unfinished=$cache/unfinished
rm -rf "$unfinished"
mkdir -p "$unfinished/base/etc/ssl/certs" "$cache/tmp"
trap 'rm -rf "$unfinished"' EXIT
export TMPDIR=$cache/tmp
storage=(--root "$unfinished/root" --runroot "$unfinished/runroot" --storage-driver vfs)

# Where it is on this machine, so that what was compiled with one path is not compiled again with another.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# Nothing but links and Debian's own list of authorities, without what this machine trusts besides.
cat /usr/share/ca-certificates/mozilla/*.crt >"$unfinished/base/etc/ssl/certs/ca-certificates.crt"
for folder in bin lib lib64; do
    ln -s "usr/$folder" "$unfinished/base/$folder"
done
mkdir -m 1777 "$unfinished/base/tmp"
cat >"$unfinished/Dockerfile" <<END
FROM scratch
COPY base/ /
ENV PATH=/toolchain/bin:/usr/bin CARGO_HOME=$cargo_home CARGO_NET_OFFLINE=true
END
base=$(sed -n 's/^ARG RUST_IMAGE=//p' Dockerfile)
build=(buildah "${storage[@]}" bud --isolation chroot --pull-never)
"${build[@]}" --quiet --tag "$base" "$unfinished" >&2 || die 'making the base image failed'

cargo fetch --locked >&2 || die 'fetching the libraries failed'
volumes=(--volume "$sysroot:/toolchain:ro" --volume "$cargo_home/registry:$cargo_home/registry:ro")
[[ ! -f $cargo_home/config.toml ]] || volumes+=(--volume "$cargo_home/config.toml:$cargo_home/config.toml:ro")
for folder in /usr/{bin,lib,lib64,libexec,include,share} /etc/alternatives; do
    [[ ! -d $folder ]] || volumes+=(--volume "$folder:$folder:ro")
done

printf 'testbed/image.sh: building %s\n' "$name" >&2
"${build[@]}" --target controller --tag "$name" "${volumes[@]}" \
    --build-arg "VERSION=$version" --build-arg "COMMIT=$commit" . >&2 ||
    die 'building the image failed'
# Renamed when it is whole: whoever sees an archive sees all of it.
buildah "${storage[@]}" push --quiet "$name" "docker-archive:$unfinished/image.tar:$name" >&2 ||
    die 'writing the archive failed'
mv "$unfinished/image.tar" "$archive"
finish
