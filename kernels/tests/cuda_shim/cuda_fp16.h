// float16 on the CPU. The compiler's _Float16 rounds to nearest even, as CUDA's intrinsic does.
#ifndef TSM_EDGE_TESTS_CUDA_SHIM_CUDA_FP16_H_
#define TSM_EDGE_TESTS_CUDA_SHIM_CUDA_FP16_H_

typedef _Float16 __half;
inline __half __float2half_rn(float value) { return static_cast<__half>(value); }

#endif  // TSM_EDGE_TESTS_CUDA_SHIM_CUDA_FP16_H_
