// The temporal shift on the GPU. The rule and the layouts are those of core/temporal_shift.h; the reference is
// tsm_edge/shift.py.
//
// A shift only moves elements, so one kernel serves all types of one size: float32 is 4 bytes, float16 2, int8 1.
// Each function enqueues one launch on `stream` and returns the launch's error. It does not allocate or synchronise,
// and it can be captured in a CUDA graph. It returns cudaErrorInvalidValue, and launches nothing, for sizes that
// contradict each other (step_fault, clip_fault), an element size other than 1, 2 or 4, a frame of 2^30 elements or
// more, and buffers that overlap in a way that is not allowed below.
//
// Pointers must be aligned to one element. If they are aligned to 16 bytes, as allocators and TensorRT align them, all
// loads and stores of aligned shapes are 16 bytes wide. Planes that are no multiple of 16 bytes need narrower accesses.
#ifndef TSM_EDGE_CUDA_TEMPORAL_SHIFT_CUH_
#define TSM_EDGE_CUDA_TEMPORAL_SHIFT_CUH_

#include <cuda_runtime.h>

#include "../core/temporal_shift.h"

namespace tsm_edge {
namespace cuda {

// TemporalShiftStep, one streaming frame: y[:, :F] = cache, y[:, F:] = x[:, F:], next = x[:, :F].
// x and y have x_extent. cache and next have cache_extent: the frames and plane of x_extent, and F channels.
// y may be x itself if the caller owns x: then only the fold moves. next may be cache itself.
// The padding lanes of next become zero, and those of y too unless y is x.
cudaError_t shift_step(const void* x, const void* cache, void* y, void* next, const Extent<>& x_extent,
                       const Extent<>& cache_extent, int element_size, cudaStream_t stream) noexcept;

// TemporalShift, whole clips, causal or bidirectional (ClipShift). x and y have `extent` and must not overlap: frames
// feed their neighbours, so this kernel cannot work in place. The padding lanes of y become zero.
cudaError_t shift_clip(const void* x, void* y, const Extent<>& extent, const ClipShift<>& clip,
                       int element_size, cudaStream_t stream) noexcept;

}  // namespace cuda
}  // namespace tsm_edge

#endif  // TSM_EDGE_CUDA_TEMPORAL_SHIFT_CUH_
