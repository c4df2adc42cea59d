// From a camera frame to the input tensor in one pass on the GPU: crop, bilinear resize, channel order, normalise.
// The reference is tsm_edge/preprocess.py. Both of its filters are here; the result is not rounded to a whole level,
// so it differs from the reference by up to one level (1/255) before the normalisation.
#ifndef TSM_EDGE_CUDA_PREPROCESS_CUH_
#define TSM_EDGE_CUDA_PREPROCESS_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace tsm_edge {
namespace cuda {

// (height, width, 3) uint8, BGR as OpenCV gives it, rows `pitch` bytes apart (at least 3 * width).
struct Image {
  const std::uint8_t* data;
  std::int64_t pitch;
  int height;
  int width;
};

// One axis: pixels [begin, begin + length) of the frame are resized to `resized` pixels, of which
// [keep, keep + size) are computed, and are the output. No pixel outside [begin, begin + length) is read.
struct Axis {
  int begin;
  int length;
  int resized;
  int keep;
  int size;
};

enum class Filter : int {
  kPillow = 0,   // the `exact` path: bilinear, antialiased: a triangle over all that the scale covers
  kPyramid = 1,  // the `fast` path: halvings, then bilinear of two pixels an axis (OpenCV's INTER_LINEAR)
  kPyramidSmoothed = 2,  // the same with (1, 2, 1) / 4 on both axes in between
};

constexpr int kMaxHalvings = 3;

// out = (level / 255 - mean) / std for each channel of the output; rgb: its order is RGB, else BGR.
struct Normalise {
  float mean[3];
  float std[3];
  bool rgb;
};

// out: (3, rows.size, columns.size), float32 (element_size 4) or float16 (2), in the layout of a network's input.
// halvings: how often both axes are reduced first (0 for kPillow), up to kMaxHalvings.
// One launch on `stream`; no allocation, no synchronisation. Returns the launch's error, or cudaErrorInvalidValue for
// impossible sizes; then nothing ran.
cudaError_t preprocess(const Image& image, const Axis& rows, const Axis& columns, Filter filter, int halvings,
                       const Normalise& normalise, void* out, int element_size, cudaStream_t stream) noexcept;

}  // namespace cuda
}  // namespace tsm_edge

#endif  // TSM_EDGE_CUDA_PREPROCESS_CUH_
