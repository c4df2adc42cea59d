// Kernel launches. Every kernel takes one struct by value.
#ifndef TSM_EDGE_CUDA_LAUNCH_CUH_
#define TSM_EDGE_CUDA_LAUNCH_CUH_

#include <cuda_runtime.h>

namespace tsm_edge {
namespace cuda {

template <typename Args>
struct Kernel;  // never defined; cudaLaunchKernel of tests/cuda_shim deduces Args from it

// Enqueues kernel(args) on `stream` and returns the launch's error. It calls the runtime's typed cudaLaunchKernel
// instead of <<<...>>>, so that a C++ compiler with tests/cuda_shim can compile the same text.
template <typename Args>
cudaError_t launch(void (*kernel)(Args), dim3 grid, dim3 block, Args args, cudaStream_t stream) {
  void* pointers[] = {&args};
  return cudaLaunchKernel(reinterpret_cast<const Kernel<Args>*>(kernel), grid, block, pointers, 0, stream);
}

}  // namespace cuda
}  // namespace tsm_edge

#endif  // TSM_EDGE_CUDA_LAUNCH_CUH_
