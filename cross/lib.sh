# What the scripts beside it share; they source it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Beside the builds for this machine, whose locks and flags are others.
export CARGO_TARGET_DIR=$root/target/cross
# Set by the Cargo that may have started us, for its own program.
unset ${!CARGO_PKG_@} CARGO_MANIFEST_DIR CARGO_MANIFEST_PATH LD_LIBRARY_PATH

say() { printf 'cross: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# has PACKAGE: whether dpkg has it. `grep -q` would end the pipe early, and `pipefail` take that for a failure.
has() { dpkg-query --show --showformat '${db:Status-Status}\n' "$1" 2> /dev/null | grep --line-regexp installed > /dev/null; }

# need PACKAGE...: installs what dpkg does not have; without the right to do so it says how.
need() {
    local missing=() package
    for package in "$@"; do has "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id --user)" = 0 ] || die "missing: ${missing[*]}. Install them: sudo apt-get install --no-install-recommends ${missing[*]}"
    say "apt-get install ${missing[*]}"
    apt-get update --quiet --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends "${missing[@]}" > /dev/null
}

rust_of_rustup() {
    command -v rustup > /dev/null || return 1
    rustup target list --installed | grep --line-regexp "$1" > /dev/null || timeout 120 rustup target add "$1"
}

# Debian 12 has a current Rust for its browsers, with a standard library for every processor.
rust_of_debian() {
    local architecture=$1 suffix
    command -v apt-cache > /dev/null || return 1
    if [ "$(id --user)" = 0 ] && ! has "libstd-rust-web-dev:$architecture"; then
        dpkg --add-architecture "$architecture"
        apt-get update --quiet --quiet
    fi
    for suffix in -web ""; do
        apt-cache policy "libstd-rust$suffix-dev:$architecture" |
            grep 'Candidate: 1\.\(9[5-9]\|[1-9][0-9][0-9]\)' > /dev/null || continue
        need gcc libc6-dev "rustc$suffix" "cargo$suffix" "libstd-rust$suffix-dev:$architecture"
        # Its libraries fit its own compiler alone.
        export PATH=/usr/bin:$PATH
        unset RUSTC CARGO RUSTUP_TOOLCHAIN
        return 0
    done
    return 1
}

# rust TARGET ARCHITECTURE: makes `cargo` one that builds for it.
rust() {
    case ${CROSS_RUST:-auto} in
        rustup) rust_of_rustup "$1" || die "rustup has no standard library for $1" ;;
        debian)
            rust_of_debian "$2" ||
                die "Debian offers no Rust 1.95 or newer for $2; try sudo dpkg --add-architecture $2 && sudo apt-get update"
            ;;
        auto) rust_of_rustup "$1" || rust_of_debian "$2" || die "no Rust for $1: see cross/README.md" ;;
        *) die "CROSS_RUST=$CROSS_RUST: auto, rustup or debian" ;;
    esac
    say "$(rustc --version)"
}

# fits PROGRAM PREFIX: fails where it asks for a newer glibc than the oldest device has, or for a library beside it.
fits() {
    local most=${MAX_GLIBC:-2.35} needs others
    needs=$("$2objdump" --dynamic-syms "$1" | grep --only-matching --extended-regexp 'GLIBC_[0-9.]+' | sort --unique --version-sort | tail -1)
    needs=${needs#GLIBC_}
    say "$(basename "$1") needs glibc $needs; $most may be asked for"
    [ -n "$needs" ] && [ "$(printf '%s\n' "$needs" "$most" | sort --version-sort | tail -1)" = "$most" ] || die "glibc $needs is too new"
    others=$("$2objdump" --private-headers "$1" | awk '$1 == "NEEDED" { print $2 }' |
        grep --invert-match --extended-regexp '^(libc|libm|libgcc_s|ld-linux-.*)\.so\.' || true)
    [ -z "$others" ] || die "it needs $others, which the package does not name"
}
