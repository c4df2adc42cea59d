/* The C interface of libtsm_edge_cuda.so, for Python's ctypes. Each function enqueues one kernel launch on a stream
 * (temporal_shift.cuh, preprocess.cuh). All data pointers are device pointers.
 *
 * stream: a cudaStream_t, or null for the default stream. Return value: a cudaError_t, 0 if the launch succeeded.
 */
#ifndef TSM_EDGE_CUDA_C_API_H_
#define TSM_EDGE_CUDA_C_API_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TSM_EDGE_API __attribute__((visibility("default")))

/* The memory layouts of tsm_edge::Layout (core/temporal_shift.h). */
enum { TSM_EDGE_LINEAR = 0, TSM_EDGE_HWC8 = 1, TSM_EDGE_CHW2 = 2, TSM_EDGE_CHW4 = 3, TSM_EDGE_CHW32 = 4 };

/* The tensor x (n, c, h, w) in one of these layouts, with elements of element_size = 1, 2 or 4 bytes. In memory it is
 * dense: n frames of [blocks][h * w][lanes] elements. The kernels write zeros into the padding lanes of outputs and
 * ignore those of inputs. */
typedef struct {
  int64_t n, c, h, w;
  int32_t layout, element_size;
} tsm_edge_tensor;

/* TemporalShiftStep. y is laid out as x; cache and next are (n, fold, h, w) in the layout of x. y may be x itself (then
 * only the fold moves and the padding lanes of y keep their values) and next may be cache itself. Buffers that overlap
 * in any other way are refused. */
TSM_EDGE_API int32_t tsm_edge_cuda_shift_step(const tsm_edge_tensor* x_tensor, int64_t fold, const void* x,
                                              const void* cache, void* y, void* next, void* stream);

/* TemporalShift: n is a multiple of n_segment. y is laid out as x and must not overlap it. */
TSM_EDGE_API int32_t tsm_edge_cuda_shift_clip(const tsm_edge_tensor* x_tensor, int64_t n_segment,
                                              int64_t fold, int32_t bidirectional, const void* x, void* y,
                                              void* stream);

/* tsm_edge::cuda::Axis and Filter of preprocess.cuh. */
typedef struct {
  int32_t begin, length, resized, keep, size;
} tsm_edge_axis;

enum { TSM_EDGE_PILLOW = 0, TSM_EDGE_PYRAMID = 1, TSM_EDGE_PYRAMID_SMOOTHED = 2 };

/* Crop, resize and normalise one frame.
 *
 * image: (H, W, 3) uint8 BGR, `pitch` bytes from one row to the next. out: (3, rows->size, columns->size), float32 if
 * element_size is 4, float16 if it is 2. mean, std: three values each, in the channel order of the output. rgb: 1 for
 * an output in RGB order, 0 for BGR. */
TSM_EDGE_API int32_t tsm_edge_cuda_preprocess(const void* image, int64_t pitch, int32_t height, int32_t width,
                                              const tsm_edge_axis* rows, const tsm_edge_axis* columns,
                                              int32_t filter, int32_t halvings, int32_t rgb,
                                              const float* mean, const float* std, void* out,
                                              int32_t element_size, void* stream);

/* The message of a returned code (cudaGetErrorString). */
TSM_EDGE_API const char* tsm_edge_cuda_fault(int32_t code);

#ifdef __cplusplus
}
#endif

#endif /* TSM_EDGE_CUDA_C_API_H_ */
