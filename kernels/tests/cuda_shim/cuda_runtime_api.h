// TensorRT's headers and kernels/cuda/c_api.cpp include this name.
#include "cuda_runtime.h"
