#include "c_api.h"

#include <cuda_runtime_api.h>

#include "preprocess.cuh"
#include "temporal_shift.cuh"

namespace {

using tsm_edge::Extent;
using tsm_edge::Size;

// The kernels refuse larger sizes than they support. This limit only keeps the products of sizes from overflowing.
constexpr Size kLimit = Size(1) << 31;

bool sane(const tsm_edge_tensor& t) {
  return t.layout >= 0 && t.layout < tsm_edge::kLayoutCount && t.c <= kLimit && t.h <= kLimit &&
         t.w <= kLimit && t.c >= 0 && t.h >= 0 && t.w >= 0;
}

Extent<> extent(const tsm_edge_tensor& t, Size channels) {
  return tsm_edge::extent_of<Size>(static_cast<tsm_edge::Layout>(t.layout), t.n, channels, t.h, t.w);
}

tsm_edge::cuda::Axis axis(const tsm_edge_axis& a) {
  return tsm_edge::cuda::Axis{a.begin, a.length, a.resized, a.keep, a.size};
}

}  // namespace

extern "C" {

int32_t tsm_edge_cuda_shift_step(const tsm_edge_tensor* t, int64_t fold, const void* x, const void* cache,
                                 void* y, void* next, void* stream) {
  if (!sane(*t) || fold < 0 || fold > t->c) return cudaErrorInvalidValue;
  return tsm_edge::cuda::shift_step(x, cache, y, next, extent(*t, t->c), extent(*t, fold), t->element_size,
                                    static_cast<cudaStream_t>(stream));
}

int32_t tsm_edge_cuda_shift_clip(const tsm_edge_tensor* t, int64_t n_segment, int64_t fold,
                                 int32_t bidirectional, const void* x, void* y, void* stream) {
  if (!sane(*t)) return cudaErrorInvalidValue;
  const tsm_edge::ClipShift<> clip{n_segment, fold, bidirectional != 0};
  return tsm_edge::cuda::shift_clip(x, y, extent(*t, t->c), clip, t->element_size,
                                    static_cast<cudaStream_t>(stream));
}

int32_t tsm_edge_cuda_preprocess(const void* image, int64_t pitch, int32_t height, int32_t width,
                                 const tsm_edge_axis* rows, const tsm_edge_axis* columns, int32_t filter,
                                 int32_t halvings, int32_t rgb, const float* mean, const float* std,
                                 void* out, int32_t element_size, void* stream) {
  const tsm_edge::cuda::Image frame{static_cast<const std::uint8_t*>(image), pitch, height, width};
  tsm_edge::cuda::Normalise normalise{};
  for (int c = 0; c < 3; ++c) {
    normalise.mean[c] = mean[c];
    normalise.std[c] = std[c];
  }
  normalise.rgb = rgb != 0;
  return tsm_edge::cuda::preprocess(frame, axis(*rows), axis(*columns),
                                    static_cast<tsm_edge::cuda::Filter>(filter), halvings, normalise, out,
                                    element_size, static_cast<cudaStream_t>(stream));
}

const char* tsm_edge_cuda_fault(int32_t code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); }

}  // extern "C"
