// The temporal shift on the GPU. The rule and the layouts are those of core/temporal_shift.h; the reference is
// tsm_edge/shift.py.
//
// A shift only moves elements, so one kernel serves every type of one size: float32 is 4 bytes, float16 2, int8 1.
// Each function enqueues one launch on `stream` and returns: it allocates nothing, does not synchronise, can be
// captured in a CUDA graph, and gives back the launch's error. cudaErrorInvalidValue: sizes that contradict each
// other (step_fault, clip_fault), an element size other than 1, 2 or 4, a frame of 2^30 elements or more, buffers
// that overlap in another way than stated here. Then nothing was launched.
//
// Pointers need the alignment of one element. At 16 bytes (every allocator's and TensorRT's) all loads and stores of
// aligned shapes are 16 bytes wide; odd planes cost narrower accesses, never wrong ones.
#ifndef TSM_EDGE_CUDA_TEMPORAL_SHIFT_CUH_
#define TSM_EDGE_CUDA_TEMPORAL_SHIFT_CUH_

#include <cuda_runtime.h>

#include "../core/temporal_shift.h"

namespace tsm_edge {
namespace cuda {

// One streaming frame. x, y: as x_extent; cache, next: as cache_extent, whose channels are the fold, with the frames
// and plane of x_extent. y[:, :F] = cache, y[:, F:] = x[:, F:], next = x[:, :F].
// In place: y may be x itself, where the caller owns it; then only the fold moves. next may be cache itself.
// Padding lanes of y (unless it is x) and of next become zero.
cudaError_t shift_step(const void* x, const void* cache, void* y, void* next, const Extent<>& x_extent,
                       const Extent<>& cache_extent, int element_size, cudaStream_t stream) noexcept;

// A whole clip, both directions (ClipShift). x, y: as extent, apart from each other: frames feed their neighbours, so
// there is no form in place. Padding lanes of y become zero.
cudaError_t shift_clip(const void* x, void* y, const Extent<>& extent, const ClipShift<>& clip,
                       int element_size, cudaStream_t stream) noexcept;

}  // namespace cuda
}  // namespace tsm_edge

#endif  // TSM_EDGE_CUDA_TEMPORAL_SHIFT_CUH_
