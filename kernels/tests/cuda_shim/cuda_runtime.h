// A shim of the CUDA runtime on the CPU, with the functions that kernels/cuda uses. With it the unchanged .cu files
// compile with `g++ -x c++` and run under ASan and UBSan. A launch runs its threads one after another; every second
// launch runs them in reverse order, so that a kernel that depends on the order of its threads fails. There are no
// barriers, no shared memory and no warp functions.
#ifndef TSM_EDGE_TESTS_CUDA_SHIM_CUDA_RUNTIME_H_
#define TSM_EDGE_TESTS_CUDA_SHIM_CUDA_RUNTIME_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

using std::max;  // device code uses max and min without a namespace
using std::min;

#define __global__ static
#define __device__
#define __host__
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct float3 {
  float x, y, z;
};
inline float3 make_float3(float x, float y, float z) { return float3{x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return uint4{x, y, z, w}; }

typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
enum cudaError { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidConfiguration = 9 };
typedef enum cudaError cudaError_t;

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess                     ? "no error"
         : error == cudaErrorInvalidValue         ? "invalid argument"
         : error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
                                                  : "unknown error";
}

namespace cuda_shim {
// The built-in variables of the running CUDA thread.
inline dim3& block_index() {
  static thread_local dim3 value;
  return value;
}
inline dim3& thread_index() {
  static thread_local dim3 value;
  return value;
}
inline dim3& grid_size() {
  static thread_local dim3 value;
  return value;
}
inline dim3& block_size() {
  static thread_local dim3 value;
  return value;
}
inline dim3 unravel(std::size_t index, const dim3& size) {
  return dim3(static_cast<unsigned>(index % size.x), static_cast<unsigned>(index / size.x % size.y),
              static_cast<unsigned>(index / size.x / size.y));
}
// The number of launches so far.
inline std::size_t& launches() {
  static thread_local std::size_t value = 0;
  return value;
}
}  // namespace cuda_shim

#define blockIdx (cuda_shim::block_index())
#define threadIdx (cuda_shim::thread_index())
#define gridDim (cuda_shim::grid_size())
#define blockDim (cuda_shim::block_size())

// The runtime's typed launch. `kernel` is the address of a function that takes one Args by value
// (kernels/cuda/launch.cuh).
template <template <typename> class K, typename Args>
cudaError_t cudaLaunchKernel(const K<Args>* kernel, dim3 grid, dim3 block, void** args, std::size_t,
                             cudaStream_t) {
  const std::size_t blocks = std::size_t(grid.x) * grid.y * grid.z,
                    threads = std::size_t(block.x) * block.y * block.z;
  if (blocks == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || threads == 0 ||
      threads > 1024) {
    return cudaErrorInvalidConfiguration;
  }
  const auto run = reinterpret_cast<void (*)(Args)>(reinterpret_cast<std::uintptr_t>(kernel));
  const bool reverse = cuda_shim::launches()++ % 2 != 0;
  gridDim = grid;
  blockDim = block;
  for (std::size_t i = 0; i < blocks * threads; ++i) {
    const std::size_t index = reverse ? blocks * threads - 1 - i : i;
    blockIdx = cuda_shim::unravel(index / threads, grid);
    threadIdx = cuda_shim::unravel(index % threads, block);
    run(*static_cast<const Args*>(args[0]));
  }
  return cudaSuccess;
}

#endif  // TSM_EDGE_TESTS_CUDA_SHIM_CUDA_RUNTIME_H_
