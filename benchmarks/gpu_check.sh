#!/bin/sh
# Everything of the CUDA half that needs a GPU, in one call of under ten minutes and without a network: build for this
# GPU, check the kernels against the reference, run them under compute-sanitizer, time them, and write JSON.
#
#   benchmarks/gpu_check.sh [OUT]       OUT: folder of gpu_check.json (default build/gpu_check)
#
# Needs nvcc, cmake, python3 with numpy, and either CuPy or PyTorch with CUDA. Used where they are there, and named in
# the JSON where not: compute-sanitizer; TensorRT headers and a TensorRT library, for the plugins' enqueue
# (TENSORRT_INCLUDE_DIR, TENSORRT_LIBRARY; by default what `make kernels-check` left in build/kernels-check); ONNX
# Runtime with its CUDA provider.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build/gpu_check}
python=${PYTHON:-python3}
work=$root/build/gpu_check
wheels=$root/build/kernels-check/wheels
headers=${TENSORRT_INCLUDE_DIR:-$wheels/kernel_lens/include/tensorrt}
library=${TENSORRT_LIBRARY:-$wheels/tensorrt_dispatch_libs/libnvinfer_dispatch.so.10}
mkdir -p "$out" "$work/kernels"

tensorrt=OFF
[ ! -f "$headers/NvInfer.h" ] || tensorrt=ON
arch=${GPU_ARCH:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)}
cd "$work/kernels"
cmake "$root/kernels" -DONNXRUNTIME=AUTO -DCUDA=ON -DTENSORRT=$tensorrt -DTENSORRT_INCLUDE_DIR="$headers" \
  -DTSM_EDGE_CUDA_ARCHS="$arch" -DTSM_EDGE_OUTPUT_DIR="$work/lib" >"$out/build.log" 2>&1 \
  && cmake --build . -- -j4 >>"$out/build.log" 2>&1 || { tail -n 30 "$out/build.log"; exit 1; }

cd "$root"
export PYTHONPATH="$root" TSM_EDGE_CUDA_LIBRARY="$work/lib/libtsm_edge_cuda.so"
"$python" -m benchmarks.gpu.check
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck initcheck racecheck; do
    compute-sanitizer --tool $tool --error-exitcode 9 "$python" -m benchmarks.gpu.check --few >"$out/$tool.log" 2>&1 \
      && echo "$tool: clean" >>"$out/sanitizer.txt" || { tail -n 20 "$out/$tool.log"; echo "$tool: FAILED" >>"$out/sanitizer.txt"; }
  done
else
  echo "compute-sanitizer: not on this machine" >"$out/sanitizer.txt"
fi
plugin=$work/lib/libtsm_edge_tensorrt.so
if [ -f "$plugin" ] && [ -f "$library" ]; then
  toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
  g++ -std=c++14 -O1 -isystem "$headers" -isystem "$toolkit/include" -DTSM_EDGE_ON_GPU \
    kernels/tests/tensorrt_driver.cpp kernels/core/c_api.cpp -o "$work/tensorrt_driver" \
    -L"$toolkit/lib64" "-Wl,-rpath,$toolkit/lib64" -lcudart -ldl
  "$work/tensorrt_driver" V3 "$plugin" "$library" gpu >"$out/tensorrt.txt" 2>&1 || { cat "$out/tensorrt.txt"; exit 1; }
else
  echo "not run: no TensorRT library at hand" >"$out/tensorrt.txt"
fi
"$python" -m benchmarks.gpu.measure --json "$out/gpu_check.json" --notes "$out/sanitizer.txt" "$out/tensorrt.txt"
! grep -q FAILED "$out/sanitizer.txt"
