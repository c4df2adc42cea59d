#!/bin/sh
# Run all checks and measurements that need a GPU, in less than ten minutes and without a network. It builds the kernels
# for this GPU, compares them with the reference, runs them under compute-sanitizer, calls the TensorRT plugins, times
# the kernels, streams a network through the torch and ONNX Runtime engines (parity, speed, memory), and trains. Each
# section runs on its own: if it fails or lacks a package, the JSON names it and the others still run. The exit code is
# 1 if a check failed.
#
#   benchmarks/gpu_check.sh [OUT]       OUT: folder of gpu.json and the logs (default build/gpu_check/out)
#
#   PYTHON                   default python3. It needs torch (CUDA), numpy and onnx; CuPy to check and time the kernels;
#                            ONNX Runtime with its CUDA provider. A section that lacks a package is "not run".
#   ONNXRUNTIME_INCLUDE_DIR  headers for the custom-op library (default: the downloads of make kernels)
#   TENSORRT_INCLUDE_DIR, TENSORRT_LIBRARY    for the plugins (default: the downloads of make kernels-check)
#   GPU_CHECK_ARGUMENTS      arguments for benchmarks/gpu/sections.py, like: --only kernels timings, or --dry
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
