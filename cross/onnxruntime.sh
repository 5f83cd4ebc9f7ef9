#!/usr/bin/env bash
# Gets ONNX Runtime's library: the pinned version, checked by its SHA-256, into a folder that then holds nothing else.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: onnxruntime.sh [--processor x86_64|aarch64] [--gpu] [--wheel FILE] [FOLDER]

Puts libonnxruntime.so, its licence and its notices into FOLDER, and prints where the library is.
FOLDER is /var/lib/ctedge/runtime if not named, where the daemon looks for it.

  --processor NAME  for another processor than this machine's
  --gpu             with the CUDA and TensorRT providers (x86_64; 250 MB; they need CUDA 13, cuDNN 9 and TensorRT 10)
  --wheel FILE      the wheel, fetched elsewhere, where this machine reaches no package index

On a Jetson this gets the build for its processor alone. `--gpu` says there what to do for its GPU.
TEXT
}

jetson() {
    cat >&2 <<'TEXT'
No wheel of the Python Package Index runs on the GPU of a Jetson Orin or Thor. Take a build for your JetPack, 1.24 or newer:

  - JetPack 6 (Orin, CUDA 12.6, TensorRT 10.3) and JetPack 7 (Thor, CUDA 13, TensorRT 10.13): `onnxruntime-gpu` of NVIDIA's
    index for Jetson, or the library out of one of its containers, if it is of 1.24 or newer; or
  - build it on the device, which takes hours:
      git clone --recursive --branch v1.28.0 https://github.com/microsoft/onnxruntime && cd onnxruntime
      ./build.sh --config Release --build_shared_lib --use_cuda --use_tensorrt --skip_tests --parallel 4 --no_telemetry \
        --cuda_home /usr/local/cuda --cudnn_home /usr/lib/aarch64-linux-gnu --tensorrt_home /usr/lib/aarch64-linux-gnu \
        --cmake_extra_defines CMAKE_CUDA_ARCHITECTURES=87        # 110 on Thor

Put libonnxruntime.so and the libonnxruntime_providers_*.so beside it into /var/lib/ctedge/runtime, or name the library in
infer.library. `ctedge doctor` then says which provider runs. cross/README.md tells what of this has been verified.
TEXT
}

die() {
    printf 'onnxruntime.sh: %s\n' "$*" >&2
    exit 1
}

processor=$(uname -m)
kind=cpu
wheel=
folder=
while [ $# -gt 0 ]; do
    case $1 in
        --processor) processor=${2:?$(usage)}; shift ;;
        --gpu) kind=gpu ;;
        --wheel) wheel=${2:?$(usage)}; shift ;;
        --help | -h) usage; exit ;;
        -*) usage >&2; exit 2 ;;
        *) folder=$1 ;;
    esac
    shift
done
folder=${folder:-/var/lib/ctedge/runtime}
[ "$processor $kind" != "aarch64 gpu" ] || { jetson; exit 1; }

lock=$(dirname "$(readlink -f "$0")")/onnxruntime.lock
read -r version _ _ file sha256 < <(grep "^[0-9.]* *$processor *$kind " "$lock") ||
    die "none is pinned for $processor; set ORT_DYLIB_PATH to a libonnxruntime.so of version 1.24 or newer"
library=$folder/libonnxruntime.so
if [ "$(cat "$folder/SHA256" 2> /dev/null)" = "$sha256" ]; then
    echo "$library"
    exit
fi

[ -e "$folder/SHA256" ] || [ -z "$(ls -A "$folder" 2> /dev/null)" ] ||
    die "$folder holds other things; name a folder that this may replace"

# Prepared beside its place and renamed into it, so that one that is killed, or another beside it, leaves no half library.
mkdir -p "$(dirname "$folder")"
workshop=$(mktemp --directory --tmpdir="$(dirname "$folder")")
trap 'rm -rf "$workshop"' EXIT
if [ -z "$wheel" ]; then
    echo "getting ONNX Runtime $version for $processor ($kind) from the Python Package Index" >&2
    # Whatever Python this machine has: only the library inside is wanted.
    python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: --implementation=cp \
        --python-version=3.11 --platform="manylinux_2_27_$processor" --platform="manylinux_2_28_$processor" \
        --dest "$workshop" "${file%%-*}==$version" >&2
    wheel=$workshop/$file
fi
[ -f "$wheel" ] || die "there is no $wheel"
found=$(sha256sum "$wheel" | cut -d ' ' -f 1)
[ "$found" = "$sha256" ] || die "$(basename "$wheel") has SHA-256 $found, but $sha256 is pinned: not used"
python3 -m zipfile -e "$wheel" "$workshop/unpacked"
mkdir -m 755 "$workshop/ready"
parts=$workshop/unpacked/onnxruntime
mv "$parts"/capi/libonnxruntime_providers_*.so "$parts/LICENSE" "$parts/ThirdPartyNotices.txt" "$workshop/ready"
mv "$parts/capi/libonnxruntime.so.$version" "$workshop/ready/libonnxruntime.so"
echo "$sha256" > "$workshop/ready/SHA256"
chmod 755 "$workshop"/ready/*.so
# Another process may have been faster; its library is as good as ours.
if [ -e "$folder" ] && [ "$(cat "$folder/SHA256" 2> /dev/null)" != "$sha256" ]; then
    mv "$folder" "$workshop/old"
fi
mv -T "$workshop/ready" "$folder" 2> /dev/null || [ -f "$library" ] || die "$folder cannot be written"
echo "$library"
