// The one way kernels are launched here: a kernel takes one struct by value.
#ifndef TSM_EDGE_CUDA_LAUNCH_CUH_
#define TSM_EDGE_CUDA_LAUNCH_CUH_

#include <cuda_runtime.h>

namespace tsm_edge {
namespace cuda {

template <typename Args>
struct Kernel;  // never defined: names the argument of a kernel whose address is passed on

// Enqueues kernel(args) on `stream` and returns the launch's error. It goes through the runtime's typed
// cudaLaunchKernel and not through <<<...>>>, so that a C++ compiler with tests/cuda_shim reads the same text.
template <typename Args>
cudaError_t launch(void (*kernel)(Args), dim3 grid, dim3 block, Args args, cudaStream_t stream) {
  void* pointers[] = {&args};
  return cudaLaunchKernel(reinterpret_cast<const Kernel<Args>*>(kernel), grid, block, pointers, 0, stream);
}

}  // namespace cuda
}  // namespace tsm_edge

#endif  // TSM_EDGE_CUDA_LAUNCH_CUH_
