#!/bin/sh
# Run the TensorRT plugins' enqueue on the GPU, through TensorRT's plugin registry (section "plugins" of sections.py).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$root/build/gpu_check
wheels=$root/build/kernels-check/wheels
headers=${TENSORRT_INCLUDE_DIR:-$wheels/kernel_lens/include/tensorrt}
library=${TENSORRT_LIBRARY:-$wheels/tensorrt_dispatch_libs/libnvinfer_dispatch.so.10}
plugin=$work/lib/libtsm_edge_tensorrt.so
[ -f "$plugin" ] || { echo "no plugin library: TensorRT headers were not found (TENSORRT_INCLUDE_DIR)"; exit 77; }
[ -f "$library" ] || { echo "no TensorRT library: set TENSORRT_LIBRARY, or run make kernels-check"; exit 77; }
found() { sed -n "s/^$1:[A-Z]*=//p" "$work/kernels/CMakeCache.txt"; } # a path that the build found
g++ -std=c++14 -O1 -isystem "$headers" -isystem "$(found TSM_EDGE_CUDA_INCLUDE)" -DTSM_EDGE_ON_GPU \
  "$root/kernels/tests/tensorrt_driver.cpp" -o "$work/tensorrt_driver" "$(found TSM_EDGE_CUDART)" -ldl -lrt -pthread
"$work/tensorrt_driver" V3 "$plugin" "$library" gpu
