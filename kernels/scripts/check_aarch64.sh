#!/bin/sh
# Cross-compile the CPU code for a Jetson (aarch64) and run it under qemu: the CPU kernels on random shapes against a
# naive loop, the custom ops in ONNX Runtime's own aarch64 wheel, and the device half, which streams a clip with that
# library and must give the host's results. The build refuses a library that needs a newer glibc or libstdc++ than
# JetPack 4.6 has (check_symbols.sh).
#
#   check_aarch64.sh [WORK]      WORK (default build/aarch64) keeps the arm64 tree between runs
#
# Needs Debian's or Ubuntu's apt sources; as root it installs missing packages. If it cannot run, it prints the reason
# and exits with 0. PYTHON names the Python of the host environment (default .venv/bin/python).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "${1:-$root/build/aarch64}"
work=$(cd "${1:-$root/build/aarch64}" && pwd)
python=${PYTHON:-$root/.venv/bin/python}
# The newest version that imports under qemu 7.2. Version 1.31 stops there with an illegal instruction.
onnxruntime=1.23.2
numpy=1.26.4
opencv=4.11.0.86

skip() { echo "check_aarch64: skipped: $*"; exit 0; }
missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; } # program, package
need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
need qemu-aarch64-static qemu-user-static
need debootstrap debootstrap
need cmake cmake
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || skip "install$missing"
  # shellcheck disable=SC2086
  apt-get install -qq -y --no-install-recommends $missing >/dev/null || skip "could not install$missing (apt-get update?)"
fi
[ -x "$python" ] || skip "no Python at $python"

mkdir -p "$work/build"
(cd "$work/build" && cmake "$root/kernels" -DCMAKE_TOOLCHAIN_FILE="$root/kernels/cmake/aarch64.cmake" \
  -DONNXRUNTIME=ON -DCUDA=OFF -DTENSORRT=OFF -DTSM_EDGE_OUTPUT_DIR="$work/lib" && cmake --build .)

aarch64-linux-gnu-g++ -std=c++14 -O3 -static "$root/kernels/tests/core_driver.cpp" -o "$work/core_driver"
qemu-aarch64-static "$work/core_driver" 1 1500
echo "CPU kernels: 3000 random shapes are right"

# An arm64 tree that is unpacked but not configured: only its Python runs.
if [ ! -e "$work/tree.done" ]; then
  [ "$(id -u)" = 0 ] || skip "unpacking an arm64 tree needs root"
  source=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' \
    | awk '$1 == "Debian" && $3 !~ /-/ && $2 !~ /security/ { print $2, $3; exit }')
  [ -n "$source" ] || skip "no Debian mirror among this machine's apt sources"
  rm -rf "$work/tree"
  debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,libstdc++6 "${source#* }" "$work/tree" \
    "${source% *}" >"$work/debootstrap.log" || skip "debootstrap failed (see $work/debootstrap.log)"
  for package in "$work"/tree/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
  touch "$work/tree.done"
fi
version=$(basename "$(ls -d "$work"/tree/usr/lib/python3.*)") # python3.11
if [ ! -e "$work/site/onnxruntime-$onnxruntime.dist-info" ] ||
  [ ! -e "$work/site/opencv_python_headless-$opencv.dist-info" ]; then
  rm -rf "$work/site"
  "$python" -m pip install --quiet --target "$work/site" --only-binary=:all: --no-deps --python-version "${version#python}" \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
    "onnxruntime==$onnxruntime" "numpy==$numpy" "opencv-python-headless==$opencv" || skip "no aarch64 wheels from this machine's package index"
fi

(cd "$root" && "$python" -m tests.kernels.op_models "$work/models")
emulated() {
  qemu-aarch64-static -L "$work/tree" -E "PYTHONHOME=$work/tree/usr" -E "PYTHONPATH=$work/site:$root" \
    -E PYTHONDONTWRITEBYTECODE=1 -E "TSM_EDGE_KERNELS=$work/lib" "$work/tree/usr/bin/$version" "$@"
}
emulated "$root/tests/kernels/op_runner.py" "$work/lib/libtsm_edge_onnxruntime.so" "$work/models"

# `tsm-edge run` on a clip, on the host and under qemu. One thread, because emulated threads that wait for each other
# are slow.
mkdir -p "$work/clip"
cd "$root"
"$python" -m tests.device_models build/device
"$python" -m tests.kernels.clip_runs write "$work/clip/clip.avi"
set -- run --engine build/device/tiny_custom.onnx --source "$work/clip/clip.avi" --threads 1
"$python" -m tsm_edge "$@" --jsonl "$work/clip/host.jsonl" >"$work/clip/host.txt"
emulated -m tsm_edge "$@" --jsonl "$work/clip/device.jsonl" >"$work/clip/device.txt"
"$python" -m tests.kernels.clip_runs compare "$work/clip/host.jsonl" "$work/clip/device.jsonl"
