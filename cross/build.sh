#!/usr/bin/env bash
# Makes the Debian package, and prints where it is: `cross/build.sh [arm64|amd64] [--binary FILE]`, arm64 if not named.
#
#   --binary FILE                    packs this program instead of building one
#   CROSS_RUST=auto|rustup|debian    where Rust for the other processor comes from
#   MAX_GLIBC=2.35                   the newest glibc that it may ask for: that of JetPack 6
. "$(dirname "$0")/lib.sh"
cd "$root"

architecture=arm64
binary=
while [ $# -gt 0 ]; do
    case $1 in
        arm64 | amd64) architecture=$1 ;;
        --binary) binary=$(realpath "${2:?FILE}"); shift ;;
        *) sed -n '2,6s/^# \?//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
case $architecture in
    arm64) processor=aarch64 ;;
    amd64) processor=x86_64 ;;
esac
target=$processor-unknown-linux-gnu
built=$CARGO_TARGET_DIR/$target/release
tools=$CARGO_TARGET_DIR/tools
prefix=
if [ "$(uname -m)" != $processor ]; then
    [ $architecture = arm64 ] || die "the package for $architecture is made on such a machine"
    prefix=$processor-linux-gnu-
fi
# The same bytes from the same commit, wherever and whenever it is built.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || stat --format=%Y Cargo.lock)
export SOURCE_DATE_EPOCH

# tool NAME VERSION: a program of Cargo's, built for this machine once.
tool() {
    [ -x "$tools/bin/$1" ] && return
    say "building $1 $2"
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/tools-build cargo install --locked --quiet --root "$tools" --version "$2" "$1"
}

need gcc libc6-dev binutils git python3
if [ -n "$prefix" ]; then
    need gcc-$processor-linux-gnu libc6-dev-$architecture-cross
    rust $target $architecture
fi
tool cargo-deb 3.8.0
tool cargo-auditable 0.7.7
tool cargo-cyclonedx 0.5.9
export PATH=$tools/bin:$PATH

if [ -n "$binary" ]; then
    mkdir -p "$built"
    "${prefix}strip" -o "$built/ctedge" "$binary"
else
    config=()
    [ -z "$prefix" ] || config=(--config "$root/cross/$processor.toml") # whole: cargo-auditable asks Cargo from another folder
    home=${CARGO_HOME:-$HOME/.cargo}
    RUSTFLAGS="--remap-path-prefix=$root=/ctedge --remap-path-prefix=$home=/cargo" \
        cargo auditable build "${config[@]}" --locked --release --package ctedge --target $target
fi
fits "$built/ctedge" "$prefix"

# What it is made of; the tool writes beside the manifest, and for every package of the workspace.
say "writing what it is made of"
cargo cyclonedx --quiet --manifest-path daemon/Cargo.toml --target $target --format json --spec-version 1.5 \
    --no-build-deps --override-filename ctedge.cdx
sed "s#file://$root#file:///ctedge#g" daemon/ctedge.cdx.json > "$CARGO_TARGET_DIR/ctedge.cdx.json"
rm -f ./*/ctedge.cdx.json
python3 cross/notices.py "$CARGO_TARGET_DIR/ctedge.cdx.json" > "$CARGO_TARGET_DIR/notices.txt"

mkdir -p "$CARGO_TARGET_DIR/packages"
package=$(cargo deb --quiet --no-build --no-strip --locked --package ctedge --target $target --output "$CARGO_TARGET_DIR/packages/" |
    tail -1)
[ "$(dpkg-deb --field "$package" Architecture)" = $architecture ] || die "$package is not for $architecture"
say "$(dpkg-deb --field "$package" Depends)"
echo "$package"
