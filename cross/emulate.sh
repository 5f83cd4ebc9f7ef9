#!/usr/bin/env bash
# Runs a program for arm64, and whatever it starts, on another processor: `cross/emulate.sh PROGRAM ARGUMENT...`
#
# By qemu-user, in a table of formats that nobody else sees (a user namespace of its own; Linux 6.7 or newer): the daemon starts
# itself as its workers, so that the kernel has to know who runs them. No other right is needed, and the process keeps its id.
. "$(dirname "$0")/lib.sh"
[ $# -gt 0 ] || die "usage: cross/emulate.sh PROGRAM ARGUMENT..."
need qemu-user-static

# ONNX Runtime reads /proc/cpuinfo, and qemu before 8 shows it that of the machine: it crashes. Here is one of an Orin.
export QEMU_LD_PREFIX=$CARGO_TARGET_DIR/emulation
mkdir -p "$QEMU_LD_PREFIX"
cp -r "$root/cross/emulation/proc" "$QEMU_LD_PREFIX"
if has libc6:arm64; then
    # Two builds of glibc would mix, and hang.
    need libgcc-s1:arm64
    rm -f "$QEMU_LD_PREFIX/lib"
else
    need libc6-arm64-cross libgcc-s1-arm64-cross
    ln --force --no-dereference --symbolic /usr/aarch64-linux-gnu/lib "$QEMU_LD_PREFIX/lib"
fi

# ELF, 64 bits, little-endian, a program or a library, for AArch64 (183).
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
export FORMAT=":arm64:M::$magic:$mask:/usr/bin/qemu-aarch64-static:F"
exec unshare --user --map-root-user --mount bash -c '
    mount --types binfmt_misc none /proc/sys/fs/binfmt_misc
    printf %s "$FORMAT" > /proc/sys/fs/binfmt_misc/register
    unset FORMAT
    exec "$@"' bash "$@"
