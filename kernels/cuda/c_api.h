/* The plain C ABI of libtsm_edge_cuda.so, beside core/c_api.h: the same calls on device pointers, each one launch on a
 * stream (cuda/temporal_shift.cuh, cuda/preprocess.cuh).
 *
 * stream: a cudaStream_t, or null for the default stream. Return value: a cudaError_t, 0 where the launch succeeded.
 */
#ifndef TSM_EDGE_CUDA_C_API_H_
#define TSM_EDGE_CUDA_C_API_H_

#include <stdint.h>

#include "../core/c_api.h"

#ifdef __cplusplus
extern "C" {
#endif

TSM_EDGE_API int32_t tsm_edge_cuda_shift_step(const tsm_edge_tensor* x_tensor, int64_t fold, const void* x,
                                              const void* cache, void* y, void* next, void* stream);

TSM_EDGE_API int32_t tsm_edge_cuda_shift_clip(const tsm_edge_tensor* x_tensor, int64_t n_segment,
                                              int64_t fold, int32_t bidirectional, const void* x, void* y,
                                              void* stream);

/* tsm_edge::cuda::Axis and Filter of preprocess.cuh. */
typedef struct {
  int32_t begin, length, resized, keep, size;
} tsm_edge_axis;

enum { TSM_EDGE_PILLOW = 0, TSM_EDGE_PYRAMID = 1, TSM_EDGE_PYRAMID_SMOOTHED = 2 };

/* image: (H, W, 3) uint8 BGR, `pitch` bytes from row to row; out: (3, rows->size, columns->size), float32 where
 * element_size is 4, float16 where it is 2. mean, std: three values each, in the order of the output's channels.
 * rgb: whether that order is RGB (else BGR). */
TSM_EDGE_API int32_t tsm_edge_cuda_preprocess(const void* image, int64_t pitch, int32_t height, int32_t width,
                                              const tsm_edge_axis* rows, const tsm_edge_axis* columns,
                                              int32_t filter, int32_t halvings, int32_t rgb,
                                              const float* mean, const float* std, void* out,
                                              int32_t element_size, void* stream);

/* What a returned code means (cudaGetErrorString). */
TSM_EDGE_API const char* tsm_edge_cuda_fault(int32_t code);

#ifdef __cplusplus
}
#endif

#endif /* TSM_EDGE_CUDA_C_API_H_ */
