// What TensorRT's headers and kernels/cuda/c_api.cpp include: the same shim.
#include "cuda_runtime.h"
