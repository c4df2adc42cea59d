#!/bin/sh
# Check the CUDA kernels and the TensorRT plugins as far as a machine without a GPU can (`make kernels-check`):
#   - the kernels compile for every supported architecture;
#   - both plugin generations compile with warnings as errors and pass their tests in TensorRT's real plugin registry;
#   - TensorRT's parser and builder accept our ops.
#
# The tools are downloaded into build/kernels-check, pinned by hash, and not installed. A second run downloads nothing.
#
#   PYTHON                  the interpreter of the host half (.venv/bin/python)
#   TENSORRT_INCLUDE_DIR    headers of a TensorRT of yours (8.2 and later), to compile plugin_v2.cpp with them too
#   CUDA11_ROOT             a CUDA 10.2 to 12 toolkit of yours, instead of downloading 11.8
#   NVCC13                  nvcc 13 (default: the one in PATH or /usr/local/cuda, if any)
set -eu
kernels=$(cd "$(dirname "$0")/.." && pwd)
root=$(dirname "$kernels")
cache=$root/build/kernels-check
python=${PYTHON:-$root/.venv/bin/python}
wheels=$cache/wheels
began=$(date +%s)

say() { echo "kernels-check [$(($(date +%s) - began)) s]: $*"; }
fail() { echo "kernels-check: $*" >&2; exit 1; }

[ -x "$python" ] || fail "no interpreter $python (run make venv first, or set PYTHON)"
mkdir -p "$cache"
PYTHON=$python sh "$kernels/scripts/fetch_wheels.sh" "$kernels/scripts/kernels_check_requirements.txt" "$wheels"
cuda11=${CUDA11_ROOT:-$cache/cuda11}
[ -n "${CUDA11_ROOT:-}" ] || sh "$kernels/scripts/fetch_cuda11.sh" "$cuda11" "$wheels"
chmod +x "$wheels"/nvidia/cu13/bin/*
headers=$wheels/kernel_lens/include/tensorrt
say "tools and headers are complete"

# build NAME CUDA_ROOT PLUGIN ARCHS: build all libraries with CUDA code into $cache/NAME/lib
build() {
  mkdir -p "$cache/$1"
  (cd "$cache/$1" && cmake "$kernels" -DONNXRUNTIME=OFF -DCUDA=ON -DTENSORRT=ON -DCUDA_ROOT="$2" \
    -DTENSORRT_INCLUDE_DIR="$headers" -DTENSORRT_PLUGIN="$3" -DTSM_EDGE_CUDA_ARCHS="$4" \
    -DTSM_EDGE_OUTPUT_DIR="$cache/$1/lib" && cmake --build . -- -j2) >"$cache/$1/log" 2>&1 \
    || { tail -n 30 "$cache/$1/log"; fail "$1 does not build (whole log: $cache/$1/log)"; }
  if grep -i 'warning' "$cache/$1/log"; then fail "$1 builds with warnings"; fi
}

# sass LIBRARY KERNELS CUOBJDUMP ARCH...: check that the library has machine code of KERNELS kernels for each ARCH.
# 6 kernels: step and clip for three element sizes. 16: also Pillow's filter and the pyramid with 0 to 3 halvings, for
# two output types.
sass() {
  library=$1
  kernel_count=$2
  cuobjdump=$3
  shift 3
  PATH=$(dirname "$cuobjdump"):$PATH "$cuobjdump" --list-elf "$library" >"$library.elf" || fail "$cuobjdump cannot read $library"
  for arch in "$@"; do
    grep -q "sm_$arch\." "$library.elf" || fail "$library: no machine code for sm_$arch"
    PATH=$(dirname "$cuobjdump"):$PATH "$cuobjdump" --dump-sass --gpu-architecture "sm_$arch" "$library" >"$library.sass"
    functions=$(grep -c 'Function : .*tsm_edge.*kernel' "$library.sass" || true)
    [ "$functions" -eq "$kernel_count" ] || fail "$library: $functions kernels for sm_$arch, expected $kernel_count"
    wide_loads=$(grep -c 'LDG\.E\.\(CI\.\)\?128' "$library.sass" || true)
    wide_stores=$(grep -c 'STG\.E\.128' "$library.sass" || true)
    [ "$wide_loads" -gt 0 ] && [ "$wide_stores" -gt 0 ] || fail "$library: no 16-byte accesses for sm_$arch"
    local=$(awk '/Function :/ { shift_kernel = /(step|clip)_kernel/ } shift_kernel && / (LDL|STL)[ .]/' "$library.sass" | wc -l)
    [ "$local" -eq 0 ] || fail "$library: sm_$arch: the shift uses local memory $local times"
    instructions=$(grep -c '^ */\*[0-9a-f]\{4\}\*/' "$library.sass")
    echo "  sm_$arch: $functions kernels, $instructions instructions, $wide_loads/$wide_stores loads/stores of 16 bytes, no local memory in the shift"
  done
}

say "CUDA 11.8 and TensorRT 10.14 headers, plugin V3"
build cuda11-v3 "$cuda11" V3 "53;72;87;90"
sass "$cache/cuda11-v3/lib/libtsm_edge_cuda.so" 16 "$cuda11/bin/cuobjdump" 53 72 87 90
say "the same, plugin V2"
build cuda11-v2 "$cuda11" V2 53
sass "$cache/cuda11-v2/lib/libtsm_edge_tensorrt.so" 6 "$cuda11/bin/cuobjdump" 53

nvcc13=${NVCC13:-$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc || true)}
case $([ -z "$nvcc13" ] || "$nvcc13" --version) in
  *"release 13"*)
    say "$nvcc13"
    build cuda13-v3 "$(dirname "$(dirname "$(readlink -f "$nvcc13")")")" V3 "87;90"
    sass "$cache/cuda13-v3/lib/libtsm_edge_cuda.so" 16 "$wheels/nvidia/cu13/bin/cuobjdump" 87 90
    ;;
  *) say "nvcc 13 is not on this machine: sm_87 and sm_90 are checked with CUDA 11.8 only" ;;
esac

if [ -n "${TENSORRT_INCLUDE_DIR:-}" ]; then
  say "plugin V2 against $TENSORRT_INCLUDE_DIR"
  g++ -std=c++14 -Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only -isystem "$TENSORRT_INCLUDE_DIR" \
    -isystem "$cuda11/include" "$kernels/tensorrt/plugin_v2.cpp"
fi

say "tests: plugins in TensorRT's registry, TensorRT's parser and builder, tsm-edge build, the fakes' signatures"
PYTHON=$python sh "$kernels/scripts/fetch_wheels.sh" "$kernels/scripts/tensorrt_rtx_requirements.txt" "$cache/rtx"
cd "$root"
TSM_EDGE_KERNELS_CHECK=$cache PYTHONPATH=$root:$root/export "$python" -m pytest -q \
  tests/kernels/test_tensorrt_plugin.py tests/kernels/test_tensorrt_rtx.py tests/kernels/test_tensorrt_build.py
say "done"
