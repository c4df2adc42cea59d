/* The plain C ABI of libtsm_edge_kernels.so: the temporal shift on the CPU, for Python's ctypes and any other
 * language.
 *
 * Every function is reentrant, allocates nothing and returns 0, or a code that tsm_edge_fault() puts into
 * words; then nothing was written. Buffers hold N frames of [blocks][H*W][lanes] elements
 * (core/temporal_shift.h), dense; their alignment does not matter. Padding lanes of outputs are written as
 * zeros (where y is x they stay as they are), those of inputs mean nothing.
 */
#ifndef TSM_EDGE_CORE_C_API_H_
#define TSM_EDGE_CORE_C_API_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TSM_EDGE_API __attribute__((visibility("default")))

/* Raised by one when a signature or a meaning changes. */
#define TSM_EDGE_ABI 1
TSM_EDGE_API int32_t tsm_edge_abi(void);

enum { TSM_EDGE_LINEAR = 0, TSM_EDGE_HWC8 = 1, TSM_EDGE_CHW2 = 2, TSM_EDGE_CHW4 = 3, TSM_EDGE_CHW32 = 4 };

/* x (n, c, h, w) in one of the layouts above, elements of element_size = 1, 2 or 4 bytes. */
typedef struct {
  int64_t n, c, h, w;
  int32_t layout, element_size;
} tsm_edge_tensor;

/* Bytes of that tensor with its padding, or -1 where a value is impossible or the size overflows. */
TSM_EDGE_API int64_t tsm_edge_bytes(const tsm_edge_tensor* tensor);

/* y[:, :fold] = cache, y[:, fold:] = x[:, fold:], next = x[:, :fold]. y like x; cache and next (n, fold, h,
 * w). y may be x itself (then only the fold moves) and next may be cache itself; any other overlap is
 * refused. */
TSM_EDGE_API int32_t tsm_edge_shift_step(const tsm_edge_tensor* x_tensor, int64_t fold, const void* x,
                                         const void* cache, void* y, void* next);

/* n is clips * n_segment. bidirectional: channels [0, fold) take frame t+1, [fold, 2*fold) take t-1; else [0,
 * fold) take t-1. Zeros past the ends of a clip. y may be x itself; any other overlap is refused. */
TSM_EDGE_API int32_t tsm_edge_shift_clip(const tsm_edge_tensor* x_tensor, int64_t n_segment, int64_t fold,
                                         int32_t bidirectional, const void* x, void* y);

/* What a code means, a static string; "" for 0. */
TSM_EDGE_API const char* tsm_edge_fault(int32_t code);

#ifdef __cplusplus
}
#endif

#endif /* TSM_EDGE_CORE_C_API_H_ */
