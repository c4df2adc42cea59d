// float16 on the CPU, for the shim: the compiler's own half precision rounds to nearest even, as the intrinsic does.
#ifndef TSM_EDGE_TESTS_CUDA_SHIM_CUDA_FP16_H_
#define TSM_EDGE_TESTS_CUDA_SHIM_CUDA_FP16_H_

typedef _Float16 __half;
inline __half __float2half_rn(float value) { return static_cast<__half>(value); }

#endif  // TSM_EDGE_TESTS_CUDA_SHIM_CUDA_FP16_H_
