#!/bin/sh
# Prints what the licences of the libraries inside the binary ask to be shipped with it: each crate
# with its licence, and every text that came with one, once.
#
#   .ci/third-party.sh TARGET
#
# Run where the binary was built: it looks into cargo's registry and at Debian's texts.
set -eu

target=$1
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src

# Crates of the binary, one a line. `(*)` and `(proc-macro)` are remarks of cargo's.
crates() {
    cargo tree --locked --no-default-features --edges normal --target "$target" --prefix none \
        --format "$1" | sed 's/ (\*)$//; s/ (proc-macro)//; /^rds-csi /d' | sort -u
}

printf 'Libraries in the rds-csi binary, with their licences and home pages:\n\n'
crates '{p}, {l}, {r}'

# One line for each text: where it is first, and whose it is.
crates '{p}' | sed "s, v,-,; s,.*,$registry/*/&," | while read -r pattern; do
    # The one that cargo unpacked; which registry it comes from is in the name of the folder.
    for crate in $pattern; do
        printf '%s\n' "$crate"
    done
done | xargs -I CRATE find CRATE -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' \
    -o -iname 'copyright*' -o -iname 'notice*' \) | sort | xargs sha256sum | awk '{
        count = split($2, part, "/")
        if (!($1 in first)) { first[$1] = $2; order[++texts] = $1 }
        owners[$1] = owners[$1] " " part[count - 1]
    }
    END { for (at = 1; at <= texts; at++) print first[order[at]] owners[order[at]] }' |
    while read -r text owners; do
        printf '\n==== Licence text of: %s\n\n' "$owners"
        cat "$text"
    done

# The binary is linked statically with them.
printf '\n==== GNU C library\n\n'
cat /usr/share/doc/libc6/copyright /usr/share/common-licenses/LGPL-2.1
printf '\n==== Standard library of Rust: MIT OR Apache-2.0, https://github.com/rust-lang/rust\n'
