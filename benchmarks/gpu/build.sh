#!/bin/sh
# Build the kernel libraries for this machine's GPU into build/gpu_check/lib (section "build" of sections.py).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$root/build/gpu_check
headers=${TENSORRT_INCLUDE_DIR:-$root/build/kernels-check/wheels/kernel_lens/include/tensorrt}
onnxruntime=${ONNXRUNTIME_INCLUDE_DIR:-$root/build/kernels/onnxruntime_headers}
# GPU_ARCH, like 90, sets the architecture on a machine without a GPU.
for program in nvcc cmake ${GPU_ARCH:-nvidia-smi}; do
  [ "$program" != "${GPU_ARCH:-}" ] || continue
  command -v "$program" >/dev/null || { echo "no $program on this machine"; exit 77; }
done
tensorrt=OFF
[ ! -f "$headers/NvInfer.h" ] || tensorrt=ON
[ -f "$onnxruntime/onnxruntime_c_api.h" ] || onnxruntime=
arch=${GPU_ARCH:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)}
mkdir -p "$work/kernels"
cd "$work/kernels"
cmake "$root/kernels" -DONNXRUNTIME=AUTO -DONNXRUNTIME_INCLUDE_DIR="$onnxruntime" -DCUDA=ON -DTENSORRT=$tensorrt \
  -DTENSORRT_INCLUDE_DIR="$headers" -DTSM_EDGE_CUDA_ARCHS="$arch" -DTSM_EDGE_OUTPUT_DIR="$work/lib"
cmake --build . -- -j4
ls "$work/lib"
