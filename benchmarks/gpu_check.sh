#!/bin/sh
# Everything that needs a GPU, in one call of under ten minutes and without a network: build for this GPU, check the
# kernels against the reference and under compute-sanitizer, call the TensorRT plugins, time the kernels, stream a
# network through the torch and ONNX Runtime engines (parity, speed, memory), train. Every section by itself: what is
# missing or fails is named in the JSON and loses no other section. The exit code is 1 where a check failed.
#
#   benchmarks/gpu_check.sh [OUT]       OUT: folder of gpu.json and the logs (default build/gpu_check/out)
#
#   PYTHON                   python3, with torch (CUDA), numpy, onnx; CuPy for the kernels' own checks and times; ONNX
#                            Runtime with its CUDA provider; what it lacks is "not run"
#   ONNXRUNTIME_INCLUDE_DIR  headers for the custom-op library (build/onnxruntime, as make kernels fetches them)
#   TENSORRT_INCLUDE_DIR, TENSORRT_LIBRARY    for the plugins (what make kernels-check left in build/kernels-check)
#   GPU_CHECK_ARGUMENTS      more for benchmarks/gpu/sections.py: --only kernels timings, or --dry without a GPU
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build/gpu_check/out}
mkdir -p "$out"
out=$(cd "$out" && pwd)
PATH=$PATH:/usr/local/cuda/bin
cd "$root"
mkdir -p build/gpu_check/lib
export PATH PYTHONPATH="$root:$root/export:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
export TSM_EDGE_KERNELS="${TSM_EDGE_KERNELS:-$root/build/gpu_check/lib}"
export TSM_EDGE_CUDA_LIBRARY="${TSM_EDGE_CUDA_LIBRARY:-$TSM_EDGE_KERNELS/libtsm_edge_cuda.so}"
# shellcheck disable=SC2086
exec "${PYTHON:-python3}" -m benchmarks.gpu.sections --out "$out" --json "$out/gpu.json" ${GPU_CHECK_ARGUMENTS:-}
