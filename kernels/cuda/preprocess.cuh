// Preprocessing on the GPU in one launch, from a camera frame to the input tensor: crop, bilinear resize, channel
// order, normalisation. The reference is tsm_edge/preprocess.py, with both of its filters. The reference rounds the
// resized pixels to whole levels and this kernel does not, so they differ by at most one level (1/255) before the
// normalisation.
#ifndef TSM_EDGE_CUDA_PREPROCESS_CUH_
#define TSM_EDGE_CUDA_PREPROCESS_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace tsm_edge {
namespace cuda {

// A frame (height, width, 3) uint8 in BGR order, as OpenCV reads it. Rows are `pitch` bytes apart (at least 3 * width).
struct Image {
  const std::uint8_t* data;
  std::int64_t pitch;
  int height;
  int width;
};

// One axis of the crop and resize. Pixels [begin, begin + length) of the frame are resized to `resized` pixels. The
// output is pixels [keep, keep + size) of these; the others are not computed. No pixel outside [begin, begin + length)
// is read.
struct Axis {
  int begin;
  int length;
  int resized;
  int keep;
  int size;
};

enum class Filter : int {
  kPillow = 0,   // the `exact` path: Pillow's antialiased bilinear filter, a triangle over source pixels
  kPyramid = 1,  // the `fast` path: halvings, then bilinear between two pixels per axis (INTER_LINEAR)
  kPyramidSmoothed = 2,  // kPyramid with a (1, 2, 1) / 4 filter on both axes after the halvings
};

constexpr int kMaxHalvings = 3;

// out = (level / 255 - mean) / std for each channel of the output. rgb: the output is in RGB order, else in BGR order.
struct Normalise {
  float mean[3];
  float std[3];
  bool rgb;
};

// Enqueues one launch on `stream`. It does not allocate or synchronise. Returns the launch's error, or
// cudaErrorInvalidValue, without a launch, for impossible sizes.
//
// out: (3, rows.size, columns.size), float32 if element_size is 4, float16 if it is 2.
// halvings: how often both axes are halved before the resize, 0 to kMaxHalvings; 0 for kPillow.
cudaError_t preprocess(const Image& image, const Axis& rows, const Axis& columns, Filter filter, int halvings,
                       const Normalise& normalise, void* out, int element_size, cudaStream_t stream) noexcept;

}  // namespace cuda
}  // namespace tsm_edge

#endif  // TSM_EDGE_CUDA_PREPROCESS_CUH_
